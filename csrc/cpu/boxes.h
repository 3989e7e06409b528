// The shape "paired boxes" on the CPU. A tile of boxes stays in the first-level cache. It is loaded from any dtype,
// stride and format into eight columns, goes through the formula one SIMD vector at a time, and is stored. So a formula
// is compiled once per number type, and never sees tails or odd layouts.
#pragma once

#include <cstring>

#include "../core/box_arguments.h"
#include "../core/box_formulas.h"
#include "tile.h"

namespace iouloss {
inline namespace IOULOSS_ARCH {

template <class T>
struct BoxTile {
  static constexpr int size = 256;
  alignas(64) T pred[4][size];
  alignas(64) T target[4][size];
  alignas(64) T loss[size];
  alignas(64) T grad[4][size];
  alignas(64) T scale[size];   // the factor that scaled the boxes: 1, until rescale()
  alignas(64) T extent[size];  // of the scaled boxes; set by rescale()
  Ahead ahead[3];
};

// Returns n values in the number type of the computation: `values` itself if it has that type, else `wide`, which the
// values are converted into.
template <class S, class T>
const T* as_wide(const S* values, int n, T* wide) {
  widen(values, n, wide);
  return wide;
}
template <class T>
const T* as_wide(const T* values, int, T*) {
  return values;
}

// Returns where to write values in the number type of the computation: `values`, their destination, if that has this
// type, else `wide`, from which the caller converts them.
template <class S, class T>
T* room_for(S*, T* wide) {
  return wide;
}
template <class T>
T* room_for(T* values, T*) {
  return values;
}

// Loads the rows [first, first + n) into columns, padded to whole vectors with boxes that are a point at the origin.
template <class T>
void load_columns(const Rows& rows, int64_t first, int n, T (*__restrict__ columns)[BoxTile<T>::size]) {
  visit(rows.data, rows.dtype, [&](const auto* data) {
    const auto* p = data + first * rows.row_stride;
    if (rows.row_stride == 4 && rows.column_stride == 1) {
      alignas(64) T wide[4 * BoxTile<T>::size];
      const T* __restrict__ values = as_wide(p, 4 * n, wide);
      for (int i = 0; i < n; ++i)
        for (int c = 0; c < 4; ++c) columns[c][i] = values[4 * i + c];
    } else {
      for (int c = 0; c < 4; ++c)
        for (int i = 0; i < n; ++i) columns[c][i] = T(to_float(p[i * rows.row_stride + c * rows.column_stride]));
    }
  });
  for (int c = 0; c < 4; ++c) std::fill(columns[c] + n, columns[c] + padded<T>(n), T(0));
}

template <class T>
void store_rows(const T (*__restrict__ columns)[BoxTile<T>::size], const T* __restrict__ factor, int n,
                const Output& out, int64_t first) {
  visit(out.data, out.dtype, [&](auto* data) {
    auto* p = data + 4 * first;
    alignas(64) T wide[4 * BoxTile<T>::size];
    T* __restrict__ values = room_for(p, wide);
    for (int i = 0; i < n; ++i)
      for (int c = 0; c < 4; ++c) values[4 * i + c] = columns[c][i] * factor[i];
    if (values == wide) narrow(wide, 4 * n, p);
  });
}

inline Ahead ahead_of(const Rows& rows, int64_t first) {
  return ahead_of(rows.row_stride == 4 && rows.column_stride == 1 ? rows.data : nullptr, rows.dtype, first, 4);
}

template <class V, class T>
IOULOSS_INLINE Row4<V> row(const T (*columns)[BoxTile<T>::size], int i) {
  return {V::load(columns[0] + i), V::load(columns[1] + i), V::load(columns[2] + i), V::load(columns[3] + i)};
}

// ---- a formula over a tile ---------------------------------------------------------------------------------------

// Returns false if a box is too large or a result is not finite: then the tile needs the careful way below.
template <class T>
using TileFunction = bool (*)(BoxTile<T>&, int n, const BoxArguments&);

// Computes the losses and, if wanted, their gradients.
template <class Formula, bool gradient, class T>
bool box_tile(BoxTile<T>& tile, int n, const BoxArguments& a) {
  using V = Native<T>;
  const V largest(Limits<T>::largest);
  auto fine = V(0) == V(0);
  for (int i = 0; i < n; i += lanes<T>) {
    for (const Ahead& ahead : tile.ahead) ahead.fetch(i, lanes<T>);
    Pair<V> b = measure(row<V>(tile.pred, i), row<V>(tile.target, i), a.format);
    Parameters<V> p(V(a.eps), BoxOptions<V>(a.options));
    p.rescale(V::load(tile.scale + i));
    measure_overlap(b, p.area_eps);
    Partials<V> d;
    const V loss = Formula::evaluate(b, p, d);
    loss.store(tile.loss + i);
    V checked = loss;
    if constexpr (gradient) {
      const Row4<V> g = to_gradient(b, d, a.format);
      g.c0.store(tile.grad[0] + i);
      g.c1.store(tile.grad[1] + i);
      g.c2.store(tile.grad[2] + i);
      g.c3.store(tile.grad[3] + i);
      checked = loss + ((g.c0 + g.c1) + (g.c2 + g.c3));
    }
    fine &= is_safe(b.extent()) & (absolute(checked) <= largest);
  }
  return all_lanes<T>(fine);
}

// ---- the careful way ---------------------------------------------------------------------------------------------

// Scales down the boxes whose lengths are too large to be multiplied. run() tames the results that overflow even so.
template <class T>
void rescale(BoxTile<T>& tile, int n, BoxFormat format) {
  const auto extent = [&](int i, T unit) {
    const auto row = [&](const auto& c) { return Row4<T>{c[0][i], c[1][i], c[2][i], c[3][i]} * unit; };
    return measure(row(tile.pred), row(tile.target), format).extent();
  };
  for (int i = 0; i < n; ++i) {
    const T scale = is_safe(extent(i, T(1))) ? T(1) : scale_of_extent(extent(i, T(Limits<T>::measuring)));
    for (int c = 0; c < 4; ++c) {
      tile.pred[c][i] *= scale;
      tile.target[c][i] *= scale;
    }
    tile.scale[i] = scale;
    tile.extent[i] = extent(i, T(1));
  }
}

template <class T>
void run(TileFunction<T> function, const BoxArguments& a, int64_t first, int n, BoxTile<T>& tile) {
  load_columns(a.pred, first, n, tile.pred);
  load_columns(a.target, first, n, tile.target);
  tile.ahead[0] = ahead_of(a.pred, first + n);
  tile.ahead[1] = ahead_of(a.target, first + n);
  if (function(tile, n, a)) return;
  rescale(tile, n, a.format);
  function(tile, n, a);
  for (int i = 0; i < n; ++i) {
    tile.loss[i] = tamed(tile.loss[i], tile.extent[i]);
    for (auto& column : tile.grad)  // now with respect to the boxes before scaling; unused in a forward pass
      column[i] = tamed(T(column[i] * tile.scale[i]), tile.extent[i]);
  }
  std::fill_n(tile.scale, n, T(1));
}

// Boxes that the mask leaves out have a loss and a gradient of 0, even where they hold NaN.
template <class T>
void leave_out(const bool* mask, int n, BoxTile<T>& tile, T* factor) {
  for (int i = 0; i < n; ++i) {
    if (mask[i]) continue;
    tile.loss[i] = factor[i] = T(0);
    for (auto& column : tile.grad) column[i] = T(0);
  }
}

// Computes the losses of a tile, times their weights. If `function` gives gradients, computes these too, but does not
// multiply them: the weights go into `factor`, and store_rows() multiplies the gradients by it.
template <class T>
void run_weighted(TileFunction<T> function, const BoxArguments& a, int64_t first, int n, BoxTile<T>& tile, T* factor) {
  alignas(64) T scratch[BoxTile<T>::size];
  const bool* mask = a.mask ? a.mask + first : nullptr;
  if (!mask || std::memchr(mask, true, n)) run(function, a, first, n, tile);
  multiply_by(a.weight, first, n, tile.loss, scratch);
  multiply_by(a.weight, first, n, factor, scratch);
  if (mask) leave_out(mask, n, tile, factor);
}

// ---- the kernels -------------------------------------------------------------------------------------------------

template <class T>
double write_box_losses(const BoxArguments& a, TileFunction<T> function, T* losses, int64_t begin, int64_t end) {
  BoxTile<T> tile;
  alignas(64) T factor[BoxTile<T>::size] = {};
  std::fill_n(tile.scale, tile.size, T(1));
  double sum = 0;
  for (int64_t first = begin; first < end; first += tile.size) {
    const int n = int(std::min<int64_t>(tile.size, end - first));
    run_weighted(function, a, first, n, tile, factor);
    if (losses)
      std::copy_n(tile.loss, n, losses + first);
    else
      sum += sum_of(tile.loss, n);
  }
  return sum;
}

// If `upstream` has no data, the upstream gradient is 1, and the sum of the losses is returned: forward and backward
// pass in one.
template <class T>
double write_box_gradient(const BoxArguments& a, TileFunction<T> function, const Values& upstream, double scale,
                          const Output& grad, int64_t begin, int64_t end) {
  BoxTile<T> tile;
  alignas(64) T factor[BoxTile<T>::size], scratch[BoxTile<T>::size];
  std::fill_n(tile.scale, tile.size, T(1));
  double sum = 0;
  for (int64_t first = begin; first < end; first += tile.size) {
    const int n = int(std::min<int64_t>(tile.size, end - first));
    tile.ahead[2] = ahead_of({grad.data, grad.dtype}, first);
    std::fill_n(factor, n, T(scale));
    multiply_by(upstream, first, n, factor, scratch);
    run_weighted(function, a, first, n, tile, factor);
    store_rows(tile.grad, factor, n, grad, first);
    if (!upstream.data) sum += sum_of(tile.loss, n);
  }
  return sum;
}

}  // namespace IOULOSS_ARCH
}  // namespace iouloss
