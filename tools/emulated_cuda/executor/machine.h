// The state of a launch: blocks, their warps, and what an instruction sees of them.
#pragma once

#include <array>
#include <bit>
#include <cstring>
#include <memory>
#include <vector>

#include "kernel.h"
#include "memory.h"
#include "order.h"

namespace emulated {

struct Launch;
struct Block;

template <class T>
T copied(const std::byte* from) {
  T value;
  std::memcpy(&value, from, sizeof value);
  return value;
}

struct Warp {
  Launch* launch = nullptr;
  Block* block = nullptr;
  int index = 0;  // within its block
  Mask live = 0;
  Mask waiting = 0;  // at a barrier of the block
  Mask stalled = 0;  // at an instruction that other lanes must reach too
  std::array<int32_t, warp_size> pc{};
  std::byte* registers = nullptr;
  const std::byte* constants = nullptr;
  std::byte* local = nullptr;
  WarpClock clock;

  template <class T>
  T* out(const Operand& operand) const {
    return reinterpret_cast<T*>(registers + operand.offset);
  }
  template <class T>
  const T* in(const Operand& operand) const {
    return reinterpret_cast<const T*>((operand.constant ? constants : registers) + operand.offset);
  }
  // Of a lane's value of any width: its bytes, zeros above them.
  uint64_t bits(const Operand& operand, int lane) const {
    const std::byte* from = in<std::byte>(operand) + lane * operand.width;
    switch (operand.width) {
      case 1: return copied<uint8_t>(from);
      case 2: return copied<uint16_t>(from);
      case 4: return copied<uint32_t>(from);
      default: return copied<uint64_t>(from);
    }
  }
  void set_bits(const Operand& operand, int lane, uint64_t value) const {
    std::byte* to = out<std::byte>(operand) + lane * operand.width;
    switch (operand.width) {
      case 1: std::memcpy(to, &value, 1); break;
      case 2: std::memcpy(to, &value, 2); break;
      case 4: std::memcpy(to, &value, 4); break;
      default: std::memcpy(to, &value, 8);
    }
  }
  bool predicate(const Operand& operand, int lane) const { return bool(in<uint8_t>(operand)[lane]) != operand.negated; }

  ThreadId thread(int lane) const;
  Mask ready() const { return live & ~waiting; }
};

struct Block {
  Launch& launch;
  uint32_t number = 0;
  std::array<uint32_t, 3> index{};
  std::vector<Warp> warps;
  Region shared;
  BlockClock clock;

  explicit Block(Launch& launch);
  void start(uint32_t number);  // as the block of this number; a Block serves one after the other
  bool ready() const;
  bool ended() const;
  void pass_barrier();  // once no thread is ready; raises if some never will be

 private:
  std::unique_ptr<std::byte[]> registers_, local_, shared_;
  std::unique_ptr<uint8_t[]> shared_written_;
};

// What a launch did, over all its threads: mirrored in executor.py.
struct Totals {
  uint64_t load_bytes, store_bytes, load_sectors, store_sectors, atomics, local_bytes, barriers;
  uint64_t distinct_load_sectors, distinct_store_sectors;
  uint64_t widths[6];  // global accesses of 1, 2, 4, ... 32 bytes per thread
};

struct InstructionCount {
  uint64_t threads, warps;
};

// As Python hands it over.
struct LaunchRequest {
  const Kernel* kernel;
  uint32_t grid[3], block[3];
  const std::byte* params;
  Allocation* allocations;
  InstructionCount* counts;  // per instruction
  Totals* totals;
  char* error;
  uint64_t param_bytes, allocation_count, error_bytes, seed, budget;
  uint32_t dynamic_shared;
  int32_t device;
};

struct Launch {
  explicit Launch(const LaunchRequest& request);
  void run();
  uint32_t below(uint32_t limit);  // a random number
  std::string describe(ThreadId thread) const;

  const Kernel& kernel;
  const std::array<uint32_t, 3> grid, block_size;
  const int threads_per_block, warps_per_block;
  const uint32_t dynamic_shared;
  const size_t shared_bytes;  // of a block
  const std::byte* params;
  const size_t param_bytes;
  Memory memory;
  Order order;
  InstructionCount* counts;
  Totals& totals;

 private:
  uint64_t random_;
  int64_t budget_;  // of instructions of the warps
};

// Calls f with each lane of the mask.
template <class F>
inline void each(Mask mask, F f) {
  for (; mask; mask &= mask - 1) f(std::countr_zero(mask));
}

// The same where no lane's part touches what another one's does: all lanes may go at once.
template <class F>
inline void each_alone(Mask mask, F f) {
  if (mask != all_lanes) return each(mask, f);
#pragma GCC ivdep
  for (int lane = 0; lane < warp_size; ++lane) f(lane);
}

}  // namespace emulated
