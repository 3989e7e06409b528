#include "races.h"

#include "fault.h"
#include "machine.h"

namespace emulated {

namespace {

[[noreturn]] void race(const char* what, Access past, const Use& use) {
  const Launch& launch = *use.warp.launch;
  throw Fault(text("%s: %s and then %s, and nothing orders them (a barrier, __syncwarp, or fences around atomics)",
                   what, launch.describe(past.thread).c_str(), launch.describe(use.warp.thread(use.lane)).c_str()));
}

[[noreturn]] void not_read_only() {
  throw Fault("read-only loads (const __restrict__) of memory that the same launch writes");
}

bool reads_before(const Cell& cell, const Use& use) {
  switch (cell.readers) {
    case Readers::none: return true;
    case Readers::one_thread: return use.order.before(cell.read, use.warp, use.lane);
    case Readers::one_warp: return use.order.before_of_warp(cell.read, use.warp, use.lane);
    case Readers::one_block: return use.order.before_of_block(cell.read, use.warp, use.lane);
    case Readers::grid: return use.order.before_of_grid(use.warp, use.lane);
  }
  return false;
}

Readers both(const Cell& cell, ThreadId thread, const Order& order) {
  ThreadId other = cell.read.thread;
  if (cell.readers <= Readers::one_warp && other / warp_size == thread / warp_size) return Readers::one_warp;
  if (cell.readers <= Readers::one_block && order.block_of(other) == order.block_of(thread)) return Readers::one_block;
  return Readers::grid;
}

}  // namespace

void Shadow::refine(Page& page, unsigned cell_bytes) {
  auto cells = std::make_unique<Cell[]>(page_bytes / cell_bytes);
  if (page.cells)
    for (size_t i = 0; i < page_bytes / cell_bytes; ++i) cells[i] = page.cells[i * cell_bytes / page.cell_bytes];
  page.cells = std::move(cells);
  page.cell_bytes = cell_bytes;
}

void note_read(Cell& cell, const Use& use) {
  Access now{use.warp.thread(use.lane), use.warp.clock.epoch};
  if (cell.write.epoch) {
    if (use.read_only) not_read_only();
    if (!(cell.strong_write && use.strong) && !use.order.before(cell.write, use.warp, use.lane))
      race("memory is read that more than one thread uses: stored to by", cell.write, use);
  }
  cell.read_only |= use.read_only;
  bool forget = cell.readers == Readers::none || (cell.readers == Readers::one_thread && reads_before(cell, use));
  cell.strong_reads = use.strong && (forget || cell.strong_reads);
  cell.readers = forget ? Readers::one_thread : both(cell, now.thread, use.order);
  cell.read = {now.thread, forget ? now.epoch : std::max(now.epoch, cell.read.epoch)};
}

void note_write(Cell& cell, const Use& use) {
  if (cell.read_only) not_read_only();
  if (cell.write.epoch && !(cell.strong_write && use.strong) && !use.order.before(cell.write, use.warp, use.lane))
    race("an address is stored to by more than one thread, without atomics", cell.write, use);
  if (!(cell.strong_reads && use.strong) && !reads_before(cell, use))
    race("memory is overwritten that more than one thread uses: read by", cell.read, use);
  cell.write = {use.warp.thread(use.lane), use.warp.clock.epoch};
  cell.strong_write = use.strong;
  cell.readers = Readers::none;
}

}  // namespace emulated
