// Device memory: every access is checked for its bounds, its alignment, bytes that nothing wrote, and races.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "races.h"

namespace emulated {

// Generic addresses of a thread's shared and local memory start here.
inline constexpr uint64_t shared_window = uint64_t(1) << 60, local_window = uint64_t(1) << 61;

// As Python hands it over.
struct Allocation {
  uint64_t base, size;
  uint8_t* written;  // per byte; null: all of it
  int64_t device;    // -1: of any
  uint64_t uses;     // set by the launch: read_use, write_use
};
inline constexpr uint64_t read_use = 1, write_use = 2;

inline constexpr unsigned sector = 32;  // bytes: what global memory moves at a time

// An allocation of global memory, or the shared memory of a block.
struct Region {
  uint64_t base = 0, size = 0;  // in its address space
  std::byte* bytes = nullptr;
  uint8_t* written = nullptr;
  bool shared = false;
  int64_t device = -1;
  uint64_t uses = 0;
  Shadow shadow;
  std::vector<uint8_t> sectors;  // the uses of each

  void note_sectors(uint64_t address, unsigned bytes, uint64_t use);
};

struct Place {
  Region* region;
  uint64_t offset;
  std::byte* bytes() const { return region->bytes + offset; }
  uint64_t address() const { return region->base + offset; }
};

class Memory {
 public:
  Memory(std::span<Allocation> allocations, int device);
  ~Memory();  // tells the allocations their uses

  uint64_t sectors_of(uint64_t use) const;  // of global memory, each counted once

  // The bytes of an access to global or shared memory.
  Place locate(Warp& warp, const Instruction& instruction, uint64_t address, unsigned bytes);

  void load(Warp& warp, int lane, const Instruction& instruction, Place place, void* to, unsigned bytes);
  void store(Warp& warp, int lane, const Instruction& instruction, Place place, const void* from, unsigned bytes);
  // To be read and written by the caller.
  std::byte* atomic(Warp& warp, int lane, const Instruction& instruction, Place place, unsigned bytes);

 private:
  Region& global_region(uint64_t address, unsigned bytes);

  std::span<Allocation> allocations_;
  std::vector<Region> regions_;  // by address
  size_t last_ = SIZE_MAX;       // the one used last: checked and with a shadow
  int device_;
};

}  // namespace emulated
