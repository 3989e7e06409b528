#include "memory.h"

#include <algorithm>
#include <cstring>

#include "fault.h"
#include "machine.h"

namespace emulated {

namespace {

bool is_written(const Place& place, unsigned bytes) {
  const uint8_t* written = place.region->written;
  return !written || !std::memchr(written + place.offset, 0, bytes);
}

void expect_written(const Place& place, unsigned bytes) {
  if (!is_written(place, bytes))
    throw Fault(text("read of %s memory that nothing wrote (%llu bytes into its %llu)",
                     place.region->shared ? "shared" : "global", (unsigned long long)place.offset,
                     (unsigned long long)place.region->size));
}

void mark_written(const Place& place, unsigned bytes) {
  if (place.region->written) std::memset(place.region->written + place.offset, 1, bytes);
}

}  // namespace

void Region::note_sectors(uint64_t address, unsigned bytes, uint64_t use) {
  if (shared) return;
  if (sectors.empty()) sectors.resize((base + size - 1) / sector - base / sector + 1);
  for (uint64_t s = address / sector; s <= (address + bytes - 1) / sector; ++s) sectors[s - base / sector] |= use;
}

Memory::Memory(std::span<Allocation> allocations, int device) : allocations_(allocations), device_(device) {
  for (const Allocation& a : allocations) {
    if (!a.size) continue;
    Region region;
    region.base = a.base;
    region.size = a.size;
    region.bytes = reinterpret_cast<std::byte*>(a.base);
    region.written = a.written;
    region.device = a.device;
    regions_.push_back(std::move(region));
  }
  std::ranges::sort(regions_, {}, &Region::base);
}

Memory::~Memory() {
  for (Allocation& a : allocations_) {
    auto region = std::ranges::lower_bound(regions_, a.base, {}, &Region::base);
    a.uses = region != regions_.end() && region->base == a.base ? region->uses : 0;
  }
}

uint64_t Memory::sectors_of(uint64_t use) const {
  uint64_t count = 0;
  for (const Region& region : regions_) count += std::ranges::count_if(region.sectors, [&](auto s) { return s & use; });
  return count;
}

Region& Memory::global_region(uint64_t address, unsigned bytes) {
  auto holds = [&](const Region& r) { return address >= r.base && address - r.base + bytes <= r.size; };
  if (last_ < regions_.size() && holds(regions_[last_])) return regions_[last_];
  auto after = std::ranges::upper_bound(regions_, address, {}, &Region::base);
  if (after != regions_.begin() && holds(*std::prev(after))) {
    last_ = std::prev(after) - regions_.begin();
    Region& region = regions_[last_];
    if (region.device >= 0 && region.device != device_)
      throw Fault(text("access to memory of device %d by a launch on device %d", int(region.device), device_));
    if (region.shadow.empty()) region.shadow = Shadow(region.base, region.size);
    return region;
  }
  auto where = after == regions_.begin() ? std::string("before every allocation")
                                         : text("%llu bytes into an allocation of %llu",
                                                (unsigned long long)(address - std::prev(after)->base),
                                                (unsigned long long)std::prev(after)->size);
  throw Fault(text("illegal %u-byte access at %#llx, %s", bytes, (unsigned long long)address, where.c_str()));
}

Place Memory::locate(Warp& warp, const Instruction& instruction, uint64_t address, unsigned bytes) {
  if (address % bytes) throw Fault(text("misaligned %u-byte access at %#llx", bytes, (unsigned long long)address));
  bool generic_shared = instruction.space == Space::generic && address >= shared_window;
  if (instruction.space != Space::shared && !generic_shared) {
    Region& region = global_region(address, bytes);
    return {&region, address - region.base};
  }
  Region& shared = warp.block->shared;
  uint64_t offset = generic_shared ? address - shared_window : address;
  if (offset + bytes > shared.size)
    throw Fault(text("access outside shared memory (byte %llu of %llu)", (unsigned long long)offset,
                     (unsigned long long)shared.size));
  return {&shared, offset};
}

void Memory::load(Warp& warp, int lane, const Instruction& instruction, Place place, void* to, unsigned bytes) {
  expect_written(place, bytes);
  place.region->uses |= read_use;
  place.region->note_sectors(place.address(), bytes, read_use);
  Use use{warp.launch->order, warp, lane, instruction.strong && !place.region->shared, instruction.read_only};
  place.region->shadow.each_cell(place.address(), bytes, [&](Cell& cell) { note_read(cell, use); });
  if (use.strong) warp.launch->order.strong_access(warp, lane, instruction, place.bytes(), true, false);
  std::memcpy(to, place.bytes(), bytes);
}

void Memory::store(Warp& warp, int lane, const Instruction& instruction, Place place, const void* from,
                   unsigned bytes) {
  bool strong = instruction.strong && !place.region->shared;
  // In shared memory, threads may agree: a store of the value that is there already is no race.
  if (place.region->shared && is_written(place, bytes) && !std::memcmp(place.bytes(), from, bytes)) return;
  mark_written(place, bytes);
  place.region->uses |= write_use;
  place.region->note_sectors(place.address(), bytes, write_use);
  if (strong) warp.launch->order.strong_access(warp, lane, instruction, place.bytes(), false, true);
  Use use{warp.launch->order, warp, lane, strong};
  place.region->shadow.each_cell(place.address(), bytes, [&](Cell& cell) { note_write(cell, use); });
  std::memcpy(place.bytes(), from, bytes);
}

std::byte* Memory::atomic(Warp& warp, int lane, const Instruction& instruction, Place place, unsigned bytes) {
  expect_written(place, bytes);
  place.region->uses |= read_use | write_use;
  place.region->note_sectors(place.address(), bytes, read_use | write_use);
  warp.launch->order.strong_access(warp, lane, instruction, place.bytes(), true, true);
  Use use{warp.launch->order, warp, lane, true};
  place.region->shadow.each_cell(place.address(), bytes, [&](Cell& cell) { note_write(cell, use); });
  return place.bytes();
}

}  // namespace emulated
