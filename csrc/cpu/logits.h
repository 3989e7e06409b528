// The shape "logits" on the CPU: one logit and its target to one loss, a tile at a time (see box_pairs.h). Class
// indices become 0 and 1, and weights, upstream gradients and alpha become one factor for each of the two targets, so
// that every variant of a call runs through one loop.
#pragma once

#include "../core/logit_formulas.h"
#include "tile.h"

namespace iouloss {
inline namespace IOULOSS_ARCH {

template <class T>
struct LogitTile {
  static constexpr int size = 1024;
  alignas(64) T logits[size];
  alignas(64) T targets[size];
  alignas(64) T factor1[size];  // what the loss of target 1 is multiplied by
  alignas(64) T factor0[size];
  alignas(64) T out[size];
  alignas(64) T scratch[size];
};

template <class T>
using LogitFunction = void (*)(LogitTile<T>&, int n, double gamma);

template <class Formula, class T>
void focal_value_tile(LogitTile<T>& tile, int n, double gamma) {
  using V = Native<T>;
  for (int i = 0; i < n; i += lanes<T>) {
    const FocalParameters<V> f{V::load(tile.factor1 + i), V::load(tile.factor0 + i), V(gamma)};
    Formula::value(V::load(tile.logits + i), V::load(tile.targets + i), f).store(tile.out + i);
  }
}

template <class Formula, class T>
void focal_gradient_tile(LogitTile<T>& tile, int n, double gamma) {
  using V = Native<T>;
  for (int i = 0; i < n; i += lanes<T>) {
    const FocalParameters<V> f{V::load(tile.factor1 + i), V::load(tile.factor0 + i), V(gamma)};
    Formula::gradient(V::load(tile.logits + i), V::load(tile.targets + i), f).store(tile.out + i);
  }
}

// Calls f(row, from, to) for each row of classes that the logits [first, first + n) touch; from and to count from
// first.
template <class F>
void for_each_row(const FocalArguments& a, int64_t first, int n, F f) {
  for (int64_t row = first / a.classes; row * a.classes < first + n; ++row) {
    const int64_t start = row * a.classes - first;
    f(row, int(std::max<int64_t>(start, 0)), int(std::min<int64_t>(start + a.classes, n)));
  }
}

// Indices outside [0, classes) are background: no target is 1. Rows to ignore get a logit and factors of 0, so that
// they count for nothing whatever is in them.
template <class T>
void load_class_indices(const FocalArguments& a, int64_t first, int n, LogitTile<T>& tile) {
  std::fill_n(tile.targets, n, T(0));
  for_each_row(a, first, n, [&](int64_t row, int from, int to) {
    const int64_t index = a.class_index[row];
    const int64_t at = row * a.classes - first + index;
    if (index == a.ignore_index) {
      for (T* values : {tile.logits, tile.factor1, tile.factor0}) std::fill(values + from, values + to, T(0));
    } else if (index >= 0 && index < a.classes && at >= from && at < to) {
      tile.targets[at] = T(1);
    }
  });
}

template <class T>
void load_factors(const FocalArguments& a, const Values& upstream, double scale, int64_t first, int n,
                  LogitTile<T>& tile) {
  std::fill_n(tile.out, n, T(scale));
  multiply_by(upstream, first, n, tile.out, tile.scratch);
  if (a.weight_per_row && a.weight.data) {
    for_each_row(a, first, n, [&](int64_t row, int from, int to) {
      T weight;
      load_values(a.weight, row, 1, &weight);
      for (int i = from; i < to; ++i) tile.out[i] *= weight;
    });
  } else {
    multiply_by(a.weight, first, n, tile.out, tile.scratch);
  }
  for (int i = 0; i < n; ++i) {
    tile.factor1[i] = tile.out[i] * T(a.alpha1);
    tile.factor0[i] = tile.out[i] * T(a.alpha0);
  }
  if (!a.alpha_per_class.data) return;
  for_each_row(a, first, n, [&](int64_t row, int from, int to) {
    load_values(a.alpha_per_class, first + from - row * a.classes, to - from, tile.scratch + from);
  });
  for (int i = 0; i < n; ++i) {
    tile.factor1[i] = tile.out[i] * tile.scratch[i];
    tile.factor0[i] = tile.out[i] * (T(1) - tile.scratch[i]);
  }
}

template <class T>
void run(LogitFunction<T> function, const FocalArguments& a, int64_t first, int n, LogitTile<T>& tile) {
  load_values(a.logits, first, n, tile.logits);
  if (a.class_index)
    load_class_indices(a, first, n, tile);
  else
    load_values(a.targets, first, n, tile.targets);
  for (T* values : {tile.logits, tile.targets}) std::fill(values + n, values + padded<T>(n), T(0));
  function(tile, n, a.gamma);
}

// Factors are the same for every tile unless something varies from logit to logit.
inline bool factors_vary(const FocalArguments& a, const Values& upstream) {
  return a.weight.data || a.alpha_per_class.data || a.class_index || upstream.stride != 0;
}

template <class T>
double focal_forward(const FocalArguments& a, LogitFunction<T> function, T* losses, int64_t begin, int64_t end) {
  LogitTile<T> tile;
  double sum = 0;
  for (int64_t first = begin; first < end; first += tile.size) {
    const int n = int(std::min<int64_t>(tile.size, end - first));
    if (first == begin || factors_vary(a, {})) load_factors(a, {}, 1, first, n, tile);
    run(function, a, first, n, tile);
    if (losses)
      std::copy_n(tile.out, n, losses + first);
    else
      sum += sum_of(tile.out, n);
  }
  return sum;
}

template <class T>
void focal_backward(const FocalArguments& a, LogitFunction<T> function, const Values& upstream, double scale,
                    const Output& grad, int64_t begin, int64_t end) {
  LogitTile<T> tile;
  for (int64_t first = begin; first < end; first += tile.size) {
    const int n = int(std::min<int64_t>(tile.size, end - first));
    if (first == begin || factors_vary(a, upstream)) load_factors(a, upstream, scale, first, n, tile);
    run(function, a, first, n, tile);
    store_values(tile.out, n, grad, first);
  }
}

}  // namespace IOULOSS_ARCH
}  // namespace iouloss
