// A tile of rows of logits: as many rows as a vector has lanes, and a block of classes. Each lane has one row. So
// nothing is summed across lanes, work that is done once per row is done for all rows of the vector at once, and no
// number of classes is better than another. Where the classes come last, a tile is transposed on its way in and out,
// within the first-level cache.
#pragma once

#include "../core/row_formulas.h"
#include "tile.h"
#include "transpose.h"

namespace iouloss {
inline namespace IOULOSS_ARCH {

template <class T>
struct RowTile {
  static constexpr int rows = lanes<T>, classes = 256;
  alignas(64) T logits[classes * rows];  // the gradients overwrite them
  alignas(64) T powers[classes * rows];
  alignas(64) T extra[classes * rows];              // see core/row_formulas.h
  alignas(64) T lines[classes * rows + rows] = {};  // the same values, one row after another
};

// Some rows and some classes of a call.
struct RowBlock {
  int64_t first;  // the first row
  int rows;
  int64_t from;  // the first class
  int classes;
};

// Whether the rows are neighbours in memory: the values of one class are contiguous across the rows.
inline bool are_neighbours(const ClassRows& of, const RowArguments& a, const RowBlock& b) {
  return a.inner > 1 && of.inner_stride == 1 && b.first % a.inner + b.rows <= a.inner;
}

// Whether the block is one contiguous piece: whole rows that follow one another.
inline bool are_adjacent(const ClassRows& of, const RowArguments& a, const RowBlock& b) {
  return a.inner == 1 && b.classes == a.classes && of.class_stride == 1 && of.outer_stride == a.classes;
}

inline int64_t place_of(const ClassRows& of, const RowArguments& a, int64_t row) {
  return a.inner == 1 ? row * of.outer_stride : row / a.inner * of.outer_stride + row % a.inner * of.inner_stride;
}

// Whether the rows can be transposed directly in memory: they fill the lanes, their classes fill whole squares, and
// their dtype is the number type of the computation.
template <class T>
bool are_square(const ClassRows& of, Dtype dtype, const RowArguments& a, const RowBlock& b) {
  return a.inner == 1 && of.class_stride == 1 && b.rows == RowTile<T>::rows && b.classes % RowTile<T>::rows == 0 &&
         dtype == (sizeof(T) == 8 ? Dtype::float64 : Dtype::float32);
}

// Memory that the next tile reads, or that this one writes: `lanes` values for each class. It is fetched into the cache
// ahead of time.
struct RowsAhead {
  const char* at = nullptr;
  int64_t step = 0;  // bytes from class to class; 0 where the layout is not one of those below

  IOULOSS_INLINE void fetch(int c) const { __builtin_prefetch(at + c * step); }
};

// Covers the rows from `first` on, if they are one contiguous piece or neighbours.
inline RowsAhead rows_ahead(const ClassRows& of, Dtype dtype, const RowArguments& a, int64_t first, int rows) {
  if (!of.data) return {};
  const RowBlock b{first, rows, 0, int(a.classes)};
  const char* const data = static_cast<const char*>(of.data);
  if (are_adjacent(of, a, b)) return {data + first * a.classes * size_of(dtype), rows * size_of(dtype)};
  if (are_neighbours(of, a, b))
    return {data + place_of(of, a, first) * size_of(dtype), of.class_stride * size_of(dtype)};
  return {data, 0};
}

template <class T>
void load_block(const ClassRows& from, const RowArguments& a, const RowBlock& b, T* __restrict__ lines, T* out) {
  constexpr int most = RowTile<T>::rows;
  if (are_square<T>(from, from.dtype, a, b)) {
    const T* block = static_cast<const T*>(from.data) + b.first * from.outer_stride + b.from;
    for (int c = 0; c < b.classes; c += most) transpose_square(block + c, from.outer_stride, out + c * most, most);
    return;
  }
  const bool whole = visit(from.data, from.dtype, [&](const auto* data) {
    const auto* block = data + b.from * from.class_stride;
    if (are_neighbours(from, a, b)) {
      block += place_of(from, a, b.first);
      for (int c = 0; c < b.classes; ++c)
        widen(block + c * from.class_stride, b.rows == most ? most : b.rows, out + c * most);
      return true;
    }
    if (are_adjacent(from, a, b)) {
      widen(block + b.first * a.classes, b.rows * b.classes, lines);
      return false;
    }
    for (int r = 0; r < b.rows; ++r) {
      const auto* row = block + place_of(from, a, b.first + r);
      T* line = lines + r * b.classes;
      if (from.class_stride == 1)
        widen(row, b.classes, line);
      else
        for (int c = 0; c < b.classes; ++c) line[c] = T(to_float(row[c * from.class_stride]));
    }
    return false;
  });
  if (whole) return;
  for (int c = 0; c < b.classes; c += most) transpose_square(lines + c, b.classes, out + c * most, most);
}

// The last square of a row may reach beyond its end, into the beginning of the next row in `lines`. So squares are
// written from the last classes to the first: what was written beyond the end of a row is overwritten later.
template <class T>
void store_block(const Output& grad, const RowArguments& a, const RowBlock& b, const T* __restrict__ in, T* lines) {
  constexpr int most = RowTile<T>::rows;
  const ClassRows to = gradient_rows(a);
  if (are_square<T>(to, grad.dtype, a, b)) {
    T* block = static_cast<T*>(grad.data) + b.first * to.outer_stride + b.from;
    for (int c = 0; c < b.classes; c += most) transpose_square(in + c * most, most, block + c, to.outer_stride);
    return;
  }
  const bool whole = are_neighbours(to, a, b);
  if (!whole)
    for (int c = (b.classes - 1) / most * most; c >= 0; c -= most)
      transpose_square(in + c * most, most, lines + c, b.classes);
  visit(grad.data, grad.dtype, [&](auto* data) {
    using S = std::remove_pointer_t<decltype(data)>;
    auto* block = data + b.from * to.class_stride;
    if (whole) {
      block += place_of(to, a, b.first);
      for (int c = 0; c < b.classes; ++c)
        narrow(in + c * most, b.rows == most ? most : b.rows, block + c * to.class_stride);
    } else if (are_adjacent(to, a, b)) {
      narrow(lines, b.rows * b.classes, block + b.first * a.classes);
    } else {
      for (int r = 0; r < b.rows; ++r) {
        auto* row = block + place_of(to, a, b.first + r);
        const T* line = lines + r * b.classes;
        if (to.class_stride == 1)
          narrow(line, b.classes, row);
        else
          for (int c = 0; c < b.classes; ++c) row[c * to.class_stride] = Rounded<S>::of(line[c]);
      }
    }
  });
}

}  // namespace IOULOSS_ARCH
}  // namespace iouloss
