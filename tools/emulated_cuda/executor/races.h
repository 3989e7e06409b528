// Who touched which memory last, in the present launch: an access that nothing orders after the last one of another
// thread is a race.
#pragma once

#include <memory>
#include <vector>

#include "order.h"

namespace emulated {

enum class Readers : uint8_t { none, one_thread, one_warp, one_block, grid };

// The history of a few bytes.
struct Cell {
  Access write;  // the last one
  Access read;   // the one read since, or the latest of several and then by any thread of `readers`
  Readers readers;
  bool strong_write, strong_reads;  // atomics and the like, that do not race with each other
  bool read_only;                   // loaded as memory that the launch does not write
};

// The cells of a stretch of memory. A page of it has cells as large as the smallest access to the page.
class Shadow {
 public:
  Shadow() = default;
  Shadow(uint64_t base, size_t bytes)
      : first_page_(base / page_bytes), pages_((base + bytes) / page_bytes - first_page_ + 1) {}

  bool empty() const { return pages_.empty(); }
  void clear() {
    for (Page& page : pages_) page = {};
  }

  template <class F>
  void each_cell(uint64_t address, unsigned bytes, F f) {
    Page& page = pages_[address / page_bytes - first_page_];  // an aligned access does not leave its page
    if (!page.cells || bytes < page.cell_bytes) refine(page, bytes);
    Cell* first = page.cells.get() + address % page_bytes / page.cell_bytes;
    for (Cell* cell = first; cell != first + bytes / page.cell_bytes; ++cell) f(*cell);
  }

 private:
  static constexpr size_t page_bytes = 1024;
  struct Page {
    std::unique_ptr<Cell[]> cells;
    unsigned cell_bytes = 0;
  };
  static void refine(Page& page, unsigned cell_bytes);

  uint64_t first_page_ = 0;
  std::vector<Page> pages_;
};

// What an instruction does to memory, by one lane of a warp.
struct Use {
  const Order& order;
  const Warp& warp;
  int lane;
  bool strong = false, read_only = false;
};

void note_read(Cell& cell, const Use& use);   // raises Fault on a race
void note_write(Cell& cell, const Use& use);  // of plain stores and of atomics

}  // namespace emulated
