#include <numeric>

#include "fault.h"
#include "turn.h"

namespace emulated {

namespace {

constexpr size_t resident_blocks = 8;
constexpr int longest_turn = 1024;  // instructions

}  // namespace

uint32_t Launch::below(uint32_t limit) {
  random ^= random << 13, random ^= random >> 7, random ^= random << 17;  // xorshift
  return uint32_t((random >> 32) * limit >> 32);
}

std::string Launch::describe(ThreadId id) const {
  const uint32_t lanes = warps_per_block() * warp_size, block = id / lanes, thread = id % lanes;
  return text("thread (%u, %u, %u) of block (%u, %u, %u)", thread % block_size[0], thread / block_size[0] % block_size[1],
              thread / (block_size[0] * block_size[1]), block % grid[0], block / grid[0] % grid[1],
              block / (grid[0] * grid[1]));
}

// Some blocks are on the machine at a time, and their warps take turns, all at random: the interleavings that are
// tried differ from launch to launch.
void Launch::run(int64_t budget) {
  std::vector<uint32_t> to_come(grid[0] * grid[1] * grid[2]);
  std::iota(to_come.begin(), to_come.end(), 0);
  for (uint32_t i = to_come.size(); i > 1; --i) std::swap(to_come[i - 1], to_come[below(i)]);

  std::vector<std::unique_ptr<Block>> resident;
  std::vector<Warp*> ready;
  auto start_next = [&](Block& block) {
    if (to_come.empty()) return;
    block.start(to_come.back());
    to_come.pop_back();
    for (Warp& warp : block.warps) ready.push_back(&warp);
  };
  while (!to_come.empty() && resident.size() < resident_blocks)
    start_next(*resident.emplace_back(std::make_unique<Block>(*this)));

  while (!ready.empty()) {
    Warp*& chosen = ready[below(ready.size())];
    Warp& warp = *chosen;
    budget -= take_turn(warp, 1 + below(longest_turn));
    if (budget < 0) throw Fault(text("%s: instruction budget spent (an endless loop?)", kernel.name.c_str()));
    if (warp.ready()) continue;
    chosen = ready.back();
    ready.pop_back();
    Block& block = *warp.block;
    if (block.ready()) continue;
    if (block.ended()) {
      start_next(block);
    } else {
      block.pass_barrier();
      for (Warp& w : block.warps) ready.push_back(&w);
    }
  }
}

}  // namespace emulated
