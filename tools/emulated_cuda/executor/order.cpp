#include "order.h"

#include <algorithm>

#include "machine.h"

namespace emulated {

namespace {

void learn(Knowledge& known, const Knowledge& more) {
  for (const Acquired& a : more) {
    auto same = std::ranges::find(known, a.location, &Acquired::location);
    if (same == known.end())
      known.push_back(a);
    else
      same->count = std::max(same->count, a.count);
  }
}

}  // namespace

uint32_t WarpClock::seen(int a, int b) const {
  return seen_by_some ? std::max(seen_by_all, (*seen_by_some)[a][b]) : seen_by_all;
}

void WarpClock::sync(Mask lanes, Mask live) {
  ++epoch;
  if ((lanes & live) == live) {
    seen_by_all = epoch;
    return;
  }
  if (!seen_by_some) seen_by_some = std::make_unique<std::array<std::array<uint32_t, warp_size>, warp_size>>();
  std::array<uint32_t, warp_size> joined{};
  for (int b = 0; b < warp_size; ++b) {
    each(lanes, [&](int a) { joined[b] = std::max(joined[b], (*seen_by_some)[a][b]); });
    if (lanes >> b & 1) joined[b] = epoch;
  }
  each(lanes, [&](int a) { (*seen_by_some)[a] = joined; });
}

void Order::pass_barrier(Block& block) {
  uint32_t epoch = 0;
  for (Warp& w : block.warps) epoch = std::max(epoch, w.clock.epoch);
  for (Warp& w : block.warps) w.clock.epoch = epoch + 1;
  block.clock.barrier = epoch + 1;
  for (auto& [_, thread] : block.clock.threads) {
    learn(block.clock.known, thread.known);
    learn(block.clock.observed, thread.observed);
  }
}

void Order::fence(Warp& warp, Mask lanes, bool block_scope) {
  BlockClock& block = warp.block->clock;
  uint32_t epoch = ++warp.clock.epoch;
  each(lanes, [&](int lane) {
    ThreadClock& thread = block.threads[warp.thread(lane)];
    learn(thread.known, thread.observed);
    learn(thread.known, block.observed);
    thread.observed.clear();
    Release release{warp.thread(lane), block_scope, block.barrier, {}, thread.known};
    learn(release.known, block.known);
    for (int other = 0; other < warp_size; ++other) release.lanes[other] = warp.clock.seen(lane, other);
    release.lanes[lane] = epoch;
    thread.fence = std::make_unique<Release>(std::move(release));
  });
}

void Order::strong_access(Warp& warp, int lane, const Instruction& instruction, const std::byte* address, bool reads,
                          bool writes) {
  if (writes && instruction.release) fence(warp, 1u << lane, instruction.block_scope);
  auto& threads = warp.block->clock.threads;
  if (reads) {
    auto location = locations_.find(address);
    if (location != locations_.end())
      learn(threads[warp.thread(lane)].observed, {{&location->second, location->second.releases.size()}});
  }
  auto thread = threads.find(warp.thread(lane));
  if (writes && thread != threads.end() && thread->second.fence) {
    SyncLocation& location = locations_[address];
    size_t index = location.releases.size();
    location.releases.push_back(*thread->second.fence);
    location.of_block[warp.block->number].push_back(index);
    if (!thread->second.fence->known.empty()) location.relaying.push_back(index);
  }
  if (reads && instruction.acquire) fence(warp, 1u << lane, instruction.block_scope);
}

bool Order::covered(const Knowledge& known, Access past, uint32_t by_block, Knowledge& visited) const {
  uint32_t block = block_of(past.thread);
  for (const Acquired& a : known) {
    auto before = std::ranges::find(visited, a.location, &Acquired::location);
    if (before != visited.end() && before->count >= a.count) continue;
    learn(visited, {a});
    auto of_block = a.location->of_block.find(block);
    if (of_block != a.location->of_block.end())
      for (size_t i : of_block->second) {
        const Release& r = a.location->releases[i];
        bool same_warp = r.thread / warp_size == past.thread / warp_size;
        if (i < a.count && !(r.block_scope && block != by_block) &&
            (past.epoch < r.barrier || (same_warp && past.epoch < r.lanes[past.thread % warp_size])))
          return true;
      }
    for (size_t i : a.location->relaying)
      if (i < a.count && covered(a.location->releases[i].known, past, by_block, visited)) return true;
  }
  return false;
}

bool Order::before(Access past, const Warp& warp, int lane) const {
  ThreadId me = warp.thread(lane);
  if (past.thread == me) return true;
  const BlockClock& block = warp.block->clock;
  if (block_of(past.thread) == warp.block->number && past.epoch < block.barrier) return true;
  if (past.thread / warp_size == me / warp_size && past.epoch < warp.clock.seen(lane, past.thread % warp_size))
    return true;
  auto thread = block.threads.find(me);
  Knowledge visited;
  return covered(block.known, past, warp.block->number, visited) ||
         (thread != block.threads.end() && covered(thread->second.known, past, warp.block->number, visited));
}

bool Order::before_of_warp(Access last, const Warp& warp, int lane) const {
  ThreadId first = last.thread / warp_size * warp_size;
  for (ThreadId other = first; other < first + warp_size; ++other)
    if (!before({other, last.epoch}, warp, lane)) return false;
  return true;
}

bool Order::before_of_block(Access last, const Warp& warp, int lane) const {
  for (uint32_t i = 0; i < lanes_per_block_; i += warp_size)
    if (!before_of_warp({block_of(last.thread) * lanes_per_block_ + i, last.epoch}, warp, lane)) return false;
  return true;
}

bool Order::before_of_grid(const Warp& warp, int lane) const {
  auto hears_of_all = [&](const Knowledge& known) {
    return std::ranges::any_of(known, [&](const Acquired& a) {
      auto heard =
          std::ranges::count_if(a.location->of_block, [&](auto& entry) { return entry.second.front() < a.count; });
      return uint64_t(heard) + !a.location->of_block.contains(warp.block->number) >= blocks_;
    });
  };
  const BlockClock& block = warp.block->clock;
  auto thread = block.threads.find(warp.thread(lane));
  return hears_of_all(block.known) || (thread != block.threads.end() && hears_of_all(thread->second.known));
}

}  // namespace emulated
