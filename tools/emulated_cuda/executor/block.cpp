#include <algorithm>

#include "fault.h"
#include "machine.h"

namespace emulated {

namespace {

uint32_t special_value(const Launch& launch, const Block& block, Special which, int warp, int lane) {
  const auto& size = launch.block_size;
  const uint32_t thread = warp * warp_size + lane;
  const int axis = int(which) % 3;
  switch (which) {
    case Special::tid_x: return thread % size[0];
    case Special::tid_y: return thread / size[0] % size[1];
    case Special::tid_z: return thread / (size[0] * size[1]);
    case Special::ntid_x:
    case Special::ntid_y:
    case Special::ntid_z: return size[axis];
    case Special::ctaid_x:
    case Special::ctaid_y:
    case Special::ctaid_z: return block.index[axis];
    case Special::nctaid_x:
    case Special::nctaid_y:
    case Special::nctaid_z: return launch.grid[axis];
    case Special::laneid: return lane;
    case Special::warpid: return warp;
    case Special::nwarpid: return launch.warps_per_block;
    case Special::lanemask_eq: return 1u << lane;
    case Special::lanemask_lt: return (1u << lane) - 1;
    case Special::lanemask_le: return (2u << lane) - 1;
    case Special::lanemask_gt: return ~((2u << lane) - 1);
    case Special::lanemask_ge: return ~((1u << lane) - 1);
    case Special::dynamic_smem_size: return launch.dynamic_shared;
    case Special::total_smem_size: return launch.kernel.static_shared + launch.dynamic_shared;
  }
  return 0;
}

// What bar.red gives the threads: how many predicates are true, or whether all or any are.
uint32_t vote(const Block& block, BarrierVote of) {
  uint32_t yes = 0, threads = 0;
  for (const Warp& warp : block.warps)
    each(warp.waiting, [&](int lane) {
      const Instruction& barrier = block.launch.kernel.code[warp.pc[lane]];
      ++threads;
      yes += warp.predicate(barrier.operand[barrier.operands - 1], lane);
    });
  switch (of) {
    case BarrierVote::all: return yes == threads;
    case BarrierVote::any: return yes > 0;
    default: return yes;
  }
}

}  // namespace

ThreadId Warp::thread(int lane) const {
  return (block->number * uint32_t(block->warps.size()) + index) * warp_size + lane;
}

Block::Block(Launch& launch) : launch(launch), warps(launch.warps_per_block) {
  const Kernel& kernel = launch.kernel;
  registers_ = std::make_unique<std::byte[]>(warps.size() * kernel.register_file);
  local_ = std::make_unique<std::byte[]>(warps.size() * warp_size * kernel.local_bytes);
  shared_ = std::make_unique<std::byte[]>(launch.shared_bytes);
  shared_written_ = std::make_unique<uint8_t[]>(launch.shared_bytes);
  shared.size = launch.shared_bytes;
  shared.bytes = shared_.get();
  shared.written = shared_written_.get();
  shared.shared = true;
  shared.shadow = Shadow(0, shared.size);
}

void Block::start(uint32_t number_) {
  const Kernel& kernel = launch.kernel;
  const auto& grid = launch.grid;
  number = number_;
  index = {number % grid[0], number / grid[0] % grid[1], number / (grid[0] * grid[1])};
  clock = {};
  std::fill_n(shared.bytes, shared.size, std::byte(0xFF));
  std::fill_n(shared.written, shared.size, 0);
  shared.shadow.clear();
  std::fill_n(local_.get(), warps.size() * warp_size * kernel.local_bytes, std::byte(0xFF));
  for (int w = 0; w < int(warps.size()); ++w) {
    Warp& warp = warps[w] = Warp();
    warp.launch = &launch;
    warp.block = this;
    warp.index = w;
    warp.registers = registers_.get() + size_t(w) * kernel.register_file;
    warp.constants = kernel.constants.data();
    warp.local = local_.get() + size_t(w) * warp_size * kernel.local_bytes;
    warp.pc.fill(kernel.entry);
    int threads = std::min(launch.threads_per_block - w * warp_size, warp_size);
    warp.live = threads == warp_size ? all_lanes : (1u << threads) - 1;
    for (auto [which, offset] : kernel.specials)
      for (int lane = 0; lane < warp_size; ++lane)
        warp.out<uint32_t>({offset, 4})[lane] = special_value(launch, *this, which, w, lane);
  }
}

bool Block::ready() const {
  return std::ranges::any_of(warps, [](const Warp& warp) { return warp.ready() != 0; });
}

bool Block::ended() const {
  return std::ranges::all_of(warps, [](const Warp& warp) { return !warp.live; });
}

void Block::pass_barrier() {
  int waiting = 0;
  for (const Warp& warp : warps) waiting += std::popcount(warp.waiting);
  if (waiting < launch.threads_per_block)
    throw Fault(text("%s: %d threads of block %u wait at a barrier that its other %d never reach: they have ended",
                     launch.kernel.name.c_str(), waiting, number, launch.threads_per_block - waiting));
  const Instruction& first = launch.kernel.code[warps[0].pc[0]];
  for (const Warp& warp : warps) {
    const Instruction& barrier = launch.kernel.code[warp.pc[0]];
    bool same = barrier.mode == first.mode && barrier.barrier == first.barrier;
    each(warp.waiting, [&](int lane) { same &= warp.pc[lane] == warp.pc[0]; });  // a warp's lanes arrive together
    if (!same)
      throw Fault(text("%s: threads of block %u wait at different barriers, none of which all reach",
                       launch.kernel.name.c_str(), number));
  }
  const uint32_t result = first.mode ? vote(*this, BarrierVote(first.mode)) : 0;
  for (Warp& warp : warps) {
    const Instruction& barrier = launch.kernel.code[warp.pc[0]];
    each(warp.waiting, [&](int lane) {
      if (barrier.mode) warp.set_bits(barrier.operand[0], lane, result);
      ++warp.pc[lane];
    });
    warp.waiting = 0;
  }
  launch.order.pass_barrier(*this);
  ++launch.totals.barriers;
}

}  // namespace emulated
