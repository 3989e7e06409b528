// What happened before what, among the threads of one launch: the part of the PTX memory model that tells a
// race from an exchange. Threads are ordered by barriers of their block, by __syncwarp, and by a fence and an atomic
// on one side, met by an atomic on the same address and a fence on the other.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <unordered_map>
#include <vector>

#include "kernel.h"

namespace emulated {

using ThreadId = uint32_t;  // lanes counted through all blocks of the launch, each of them a whole number of warps

// Time is counted per warp: epochs, a new one at each synchronisation. All warps of a block enter a barrier's epoch
// together, and none was there before.
struct Access {
  ThreadId thread = 0;
  uint32_t epoch = 0;  // 0: there was none
};

struct SyncLocation;

// The first `count` releases to a location, and with them all that happened before those.
struct Acquired {
  const SyncLocation* location;
  size_t count;
};
using Knowledge = std::vector<Acquired>;

// What a thread made visible by a fence: what the lanes of its warp did below these epochs, what its block did below
// the epoch of its last barrier, and all that it knew itself.
struct Release {
  ThreadId thread = 0;
  bool block_scope = false;
  uint32_t barrier = 0;
  std::array<uint32_t, warp_size> lanes{};
  Knowledge known;
};

// An address of atomics that followed a fence.
struct SyncLocation {
  std::vector<Release> releases;
  std::unordered_map<uint32_t, std::vector<size_t>> of_block;  // indices of releases
  std::vector<size_t> relaying;                                // indices of those that knew of others
};

struct WarpClock {
  uint32_t epoch = 1;
  // What lane b did below seen(a, b) happened before what lane a does now.
  uint32_t seen_by_all = 0;
  std::unique_ptr<std::array<std::array<uint32_t, warp_size>, warp_size>> seen_by_some;

  uint32_t seen(int a, int b) const;
  void sync(Mask lanes, Mask live);
};

struct ThreadClock {
  std::unique_ptr<Release> fence;  // the last one
  Knowledge known, observed;       // observed becomes known at the next fence
};

struct BlockClock {
  uint32_t barrier = 1;  // the epoch of the last one
  Knowledge known, observed;
  std::unordered_map<ThreadId, ThreadClock> threads;  // those that used fences or atomics
};

struct Warp;
struct Block;

class Order {
 public:
  Order(uint32_t lanes_per_block, uint64_t blocks) : lanes_per_block_(lanes_per_block), blocks_(blocks) {}

  uint32_t block_of(ThreadId thread) const { return thread / lanes_per_block_; }

  void pass_barrier(Block& block);
  void fence(Warp& warp, Mask lanes, bool block_scope);
  // An atomic, or a load or store that is one in the memory model (volatile, relaxed, acquire, release).
  void strong_access(Warp& warp, int lane, const Instruction& instruction, const std::byte* location, bool reads,
                     bool writes);

  // Whether the access happened before what the lane does now.
  bool before(Access past, const Warp& warp, int lane) const;
  // The same of an access by each thread of the lane's warp, of its block or of the grid up to that epoch.
  bool before_of_warp(Access last, const Warp& warp, int lane) const;
  bool before_of_block(Access last, const Warp& warp, int lane) const;
  bool before_of_grid(const Warp& warp, int lane) const;

 private:
  bool covered(const Knowledge& known, Access past, uint32_t by_block, Knowledge& visited) const;

  const uint32_t lanes_per_block_;
  const uint64_t blocks_;
  std::unordered_map<const std::byte*, SyncLocation> locations_;  // its nodes stay in place
};

}  // namespace emulated
