#include <numeric>

#include "fault.h"
#include "turn.h"

namespace emulated {

namespace {

constexpr size_t resident_blocks = 4;
constexpr int longest_turn = 1024;  // instructions

}  // namespace

Launch::Launch(const LaunchRequest& request)
    : kernel(*request.kernel),
      grid{request.grid[0], request.grid[1], request.grid[2]},
      block_size{request.block[0], request.block[1], request.block[2]},
      threads_per_block(int(block_size[0] * block_size[1] * block_size[2])),
      warps_per_block((threads_per_block + warp_size - 1) / warp_size),
      dynamic_shared(request.dynamic_shared),
      shared_bytes((size_t(kernel.static_shared) + dynamic_shared + 15) / 16 * 16),
      params(request.params),
      param_bytes(request.param_bytes),
      memory({request.allocations, size_t(request.allocation_count)}, request.device),
      order(warps_per_block * warp_size, uint64_t(grid[0]) * grid[1] * grid[2]),
      counts(request.counts),
      totals(*request.totals),
      random_(request.seed * 0x9E3779B97F4A7C15 + 1),
      budget_(int64_t(request.budget)) {}

uint32_t Launch::below(uint32_t limit) {
  random_ ^= random_ << 13, random_ ^= random_ >> 7, random_ ^= random_ << 17;  // xorshift
  return uint32_t((random_ >> 32) * limit >> 32);
}

std::string Launch::describe(ThreadId id) const {
  const uint32_t lanes = warps_per_block * warp_size, block = id / lanes, thread = id % lanes;
  return text("thread (%u, %u, %u) of block (%u, %u, %u)", thread % block_size[0],
              thread / block_size[0] % block_size[1], thread / (block_size[0] * block_size[1]), block % grid[0],
              block / grid[0] % grid[1], block / (grid[0] * grid[1]));
}

// Some blocks are on the machine at a time, and their warps take turns, all at random: the interleavings that are
// tried differ from launch to launch.
void Launch::run() {
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
    budget_ -= take_turn(warp, 1 + below(longest_turn));
    if (budget_ < 0) throw Fault(text("%s: instruction budget spent (an endless loop?)", kernel.name.c_str()));
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
  totals.distinct_load_sectors = memory.sectors_of(read_use);
  totals.distinct_store_sectors = memory.sectors_of(write_use);
}

}  // namespace emulated
