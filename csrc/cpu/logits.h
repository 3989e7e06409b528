// The shape "logits" on the CPU: one logit and its target make one loss, a tile at a time (see boxes.h). Weights,
// upstream gradients and alpha are multiplied into one factor for target 1 and one for target 0, so that every variant
// of a call runs through the same loop. With class indices most logits have target 0 and go through a shorter loop;
// those of the rows' classes are computed after that.
#pragma once

#include "../core/logit_arguments.h"
#include "../core/logit_formulas.h"
#include "tile.h"

namespace iouloss {
inline namespace IOULOSS_ARCH {

template <class T>
struct LogitTile {
  static constexpr int size = 1024;
  alignas(64) T logits[size];
  alignas(64) T targets[size];
  alignas(64) T factor1[size];  // factor of the loss of target 1
  alignas(64) T factor0[size];
  alignas(64) T balance[size];
  alignas(64) T loss[size];
  alignas(64) T grad[size];
  Ahead ahead[3];
};

// Returns false if a logit is not finite and the formula has_limits (see OfLogit).
template <class T>
using LogitFunction = bool (*)(LogitTile<T>&, int n, const LogitArguments&, double scale);

// Computes the losses and, if wanted, their gradients times `scale`. The last vector may reach beyond n.
template <class Formula, bool background, bool gradient, class T>
bool logit_tile(LogitTile<T>& tile, int n, const LogitArguments& a, double scale) {
  using V = Native<T>;
  const LogitOptions<T> options(a.options);
  V nothing(0);  // becomes NaN at the first logit that is not finite
  for (int i = 0; i < n; i += lanes<T>) {
    for (const Ahead& ahead : tile.ahead) ahead.fetch(i, lanes<T>);
    const auto z = [&] {
      if constexpr (background)
        return Background();
      else
        return V::load(tile.targets + i);
    }();
    const V x = V::load(tile.logits + i);
    if constexpr (Formula::has_limits) nothing = nothing + (x - x);
    const LogitParameters<V> f(options, V::load(tile.factor1 + i), V::load(tile.factor0 + i),
                               Formula::has_balance ? V::load(tile.balance + i) : V(0));
    const Evaluated<V> e = Formula::evaluate(x, z, f);
    e.value.store(tile.loss + i);
    if constexpr (gradient) (e.gradient * V(scale)).store(tile.grad + i);
  }
  return all_lanes<T>(nothing == V(0));
}

// Runs a function over a tile. The loss of an infinite logit is a limit: see limit_of(). If the tile has infinite
// logits, the function runs once more, with the largest finite number instead of them. Then the tile gets its infinite
// logits back, since run_over_background() reads them again.
template <class T>
void run_tile(LogitFunction<T> function, LogitTile<T>& tile, int n, const LogitArguments& a, double scale) {
  if (function(tile, n, a, scale)) return;
  const T largest = T(Limits<T>::largest), infinity = std::numeric_limits<T>::infinity();
  int count = 0, indices[LogitTile<T>::size];
  for (int i = 0; i < n; ++i) {
    if (!is_infinite(tile.logits[i])) continue;
    tile.logits[i] = std::copysign(largest, tile.logits[i]);
    indices[count++] = i;
  }
  if (count == 0) return;
  function(tile, n, a, scale);
  for (int k = 0; k < count; ++k) {
    tile.loss[indices[k]] = limit_of(tile.loss[indices[k]]);
    tile.logits[indices[k]] = std::copysign(infinity, tile.logits[indices[k]]);
  }
}

template <class T>
struct LogitFunctions {
  LogitFunction<T> any_target, background;  // background: for targets known to be 0; null where there is no such loop
};

// Calls f(row, from, to) for each row of classes that the logits [first, first + n) touch; from and to count from
// `first`.
template <class F>
void for_each_row(const LogitArguments& a, int64_t first, int n, F f) {
  for (int64_t row = first / a.classes; row * a.classes < first + n; ++row) {
    const int64_t start = row * a.classes - first;
    f(row, int(std::max<int64_t>(start, 0)), int(std::min<int64_t>(start + a.classes, n)));
  }
}

template <class T>
void load_factors(const LogitArguments& a, const Values& upstream, int64_t first, int n, LogitTile<T>& tile) {
  alignas(64) T factor[LogitTile<T>::size], scratch[LogitTile<T>::size];
  std::fill_n(factor, n, T(1));
  multiply_by(upstream, first, n, factor, scratch);
  if (a.weight_per_row && a.weight.data) {
    for_each_row(a, first, n, [&](int64_t row, int from, int to) {
      T weight;
      load_values(a.weight, row, 1, &weight);
      for (int i = from; i < to; ++i) factor[i] *= weight;
    });
  } else {
    multiply_by(a.weight, first, n, factor, scratch);
  }
  const auto per_class = [&](const Values& values, double number, T* out) {
    std::fill_n(out, n, T(number));
    if (!values.data) return;
    for_each_row(a, first, n, [&](int64_t row, int from, int to) {
      load_values(values, first + from - row * a.classes, to - from, out + from);
    });
  };
  if (a.balance.data) per_class(a.balance, 1, tile.balance);
  per_class(a.alpha_per_class, 1, tile.factor1);
  for (int i = 0; i < n; ++i) {
    tile.factor0[i] = factor[i] * (T(a.alpha0) * (a.complement ? T(1) - tile.factor1[i] : T(1)));
    tile.factor1[i] = factor[i] * (T(a.alpha1) * tile.factor1[i]);
  }
}

// For targets that are class indices. Calls found(index in the tile, row) for the logit of each row's class; a row
// whose class index is outside [0, classes) has none. Calls ignored(from, to) for the logits of each row that is
// ignored.
template <class Found, class Ignored>
void for_each_class(const LogitArguments& a, int64_t first, int n, Found found, Ignored ignored) {
  for_each_row(a, first, n, [&](int64_t row, int from, int to) {
    const int64_t index = a.class_index[row], at = row * a.classes - first + index;
    if (index == a.ignore_index)
      ignored(from, to);
    else if (index >= 0 && index < a.classes && at >= from && at < to)
      found(int(at), row);
  });
}

template <class T>
void run_by_class(const LogitFunctions<T>& functions, const LogitArguments& a, double scale, int64_t first, int n,
                  LogitTile<T>& tile) {
  std::fill_n(tile.targets, n, T(0));
  const auto set_target = [&](int at, int64_t row) {
    tile.targets[at] = T(1);
    if (a.scores.data) load_values(a.scores, row, 1, tile.targets + at);
  };
  for_each_class(a, first, n, set_target, [](int, int) {});
  run_tile(functions.any_target, tile, n, a, scale);
}

// Computes all logits as background, then those of the rows' classes again, with target 1.
template <class T>
void run_over_background(const LogitFunctions<T>& functions, const LogitArguments& a, double scale, int64_t first,
                         int n, LogitTile<T>& tile, LogitTile<T>& classes) {
  run_tile(functions.background, tile, n, a, scale);
  int count = 0;
  int indices[LogitTile<T>::size];
  const auto take = [&](int at, int64_t) {
    classes.logits[count] = tile.logits[at];
    classes.factor1[count] = tile.factor1[at];
    classes.balance[count] = tile.balance[at];
    indices[count++] = at;
  };
  for_each_class(a, first, n, take, [](int, int) {});
  std::fill(classes.logits + count, classes.logits + padded<T>(count), T(0));
  run_tile(functions.any_target, classes, count, a, scale);
  for (int k = 0; k < count; ++k) {
    tile.loss[indices[k]] = classes.loss[k];
    tile.grad[indices[k]] = classes.grad[k];
  }
}

// Logits whose dense target is ignored have a loss and a gradient of 0, even where they are NaN.
template <class T>
void leave_out(T target, int n, LogitTile<T>& tile) {
  for (int i = 0; i < n; ++i)
    if (tile.targets[i] == target) tile.loss[i] = tile.grad[i] = T(0);
}

// Calls each(first, n, tile) for every tile of [begin, end), once its losses and gradients are computed.
template <class T, class F>
void for_each_tile(const LogitFunctions<T>& functions, const LogitArguments& a, const Values& upstream, double scale,
                   const Output& grad, int64_t begin, int64_t end, F each) {
  LogitTile<T> tile = {}, classes = {};
  std::fill_n(classes.targets, classes.size, T(1));
  const bool per_class = a.alpha_per_class.data || a.balance.data;
  const bool factors_vary = a.weight.data || per_class || upstream.stride != 0;
  for (int64_t first = begin; first < end; first += tile.size) {
    const int n = int(std::min<int64_t>(tile.size, end - first));
    if (first == begin || factors_vary) load_factors(a, upstream, first, n, tile);
    load_values(a.logits, first, n, tile.logits);
    std::fill(tile.logits + n, tile.logits + padded<T>(n), T(0));
    tile.ahead[0] = ahead_of(a.logits.data, a.logits.dtype, first + n);
    tile.ahead[1] = ahead_of(a.targets.data, a.targets.dtype, first + n);
    tile.ahead[2] = ahead_of(grad.data, grad.dtype, first);
    if (!a.class_index) {
      if (a.targets.data) load_values(a.targets, first, n, tile.targets);
      run_tile(functions.any_target, tile, n, a, scale);
      if (a.ignores_targets) leave_out(T(a.ignore_index), n, tile);
    } else {
      functions.background ? run_over_background(functions, a, scale, first, n, tile, classes)
                           : run_by_class(functions, a, scale, first, n, tile);
      // Ignored rows have losses and gradients of 0, even where they hold NaN.
      for_each_class(
          a, first, n, [](int, int64_t) {},
          [&](int from, int to) {
            for (T* values : {tile.loss, tile.grad}) std::fill(values + from, values + to, T(0));
          });
    }
    each(first, n, tile);
  }
}

template <class T>
double write_logit_losses(const LogitArguments& a, const LogitFunctions<T>& functions, T* losses, int64_t begin,
                          int64_t end) {
  double sum = 0;
  for_each_tile(functions, a, {}, 1, {}, begin, end, [&](int64_t first, int n, const LogitTile<T>& tile) {
    if (losses)
      std::copy_n(tile.loss, n, losses + first);
    else
      sum += sum_of(tile.loss, n);
  });
  return sum;
}

// If `upstream` has no data, the upstream gradient is 1, and the sum of the losses is returned: forward and backward
// pass in one.
template <class T>
double write_logit_gradient(const LogitArguments& a, const LogitFunctions<T>& functions, const Values& upstream,
                            double scale, const Output& grad, int64_t begin, int64_t end) {
  double sum = 0;
  for_each_tile(functions, a, upstream, scale, grad, begin, end, [&](int64_t first, int n, const LogitTile<T>& tile) {
    store_values(tile.grad, n, grad, first);
    if (!upstream.data) sum += sum_of(tile.loss, n);
  });
  return sum;
}

}  // namespace IOULOSS_ARCH
}  // namespace iouloss
