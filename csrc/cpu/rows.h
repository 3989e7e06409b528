// The shape "rows of logits" on the CPU: C logits and a target to one loss, a tile of rows at a time. Rows of so many
// classes that a tile does not hold them go through it block by block, once for each of the three things a formula
// needs; see core/row_formulas.h.
#pragma once

#include "row_tile.h"

namespace iouloss {
inline namespace IOULOSS_ARCH {

// What a tile's rows have beside their logits.
template <class T>
struct RowState {
  static constexpr int rows = RowTile<T>::rows;
  int64_t target[rows], other[rows];                                                           // classes; see RowTarget
  alignas(64) T logit[rows], weight[rows], extra[rows], other_logit[rows], other_share[rows];  // see RowTarget
  alignas(64) T factor[rows];                                                                  // the row's weight
  alignas(64) T slope[rows];                                                                   // times what is upstream
  alignas(64) T counts[rows];  // 1, or 0 for a row that counts for nothing whatever is in it
  alignas(64) T largest[rows];
  alignas(64) T loss[rows], target_gradient[rows], other_gradient[rows];
};

template <class Formula, class T>
struct RowKernel {
  using V = Native<T>;
  static constexpr int lanes_ = RowTile<T>::rows;

  const RowArguments& a;
  const Values& upstream;
  double scale;
  Output grad;  // none where only losses are wanted
  RowParameters<T> parameters;
  RowTile<T> tile;
  RowState<T> state = {};
  const bool has_other;
  V largest, sum[Formula::sums];

  RowKernel(const RowArguments& a, const Values& upstream, double scale, const Output& grad)
      : a(a),
        upstream(upstream),
        scale(scale),
        grad(grad),
        parameters(row_parameters<T>(a)),
        has_other(a.formula == RowFormula::distribution) {}

  // The losses of a row each, in state.loss; and their gradients, written.
  void run(int64_t first, int rows) {
    if (rows < lanes_) std::fill_n(tile.logits, tile.classes * lanes_, T(0)), state = {};
    load_state(first, rows);
    const bool resident = a.classes <= tile.classes;
    largest = V(-Limits<T>::largest);
    for_each_block(first, rows, [&](const RowBlock& b) {
      load(b);
      take_targets(b);
      for (int c = 0; c < b.classes; ++c) largest = maximum(largest, V::load(tile.logits + c * lanes_));
    });
    for (V& total : sum) total = V(0);
    largest.store(state.largest);
    for_each_block(first, rows, [&](const RowBlock& b) {
      if (!resident) load(b);
      add_powers(b);
    });
    const RowResult<V> result = finish();
    if (!grad.data) return;
    for_each_block(first, rows, [&](const RowBlock& b) {
      if (!resident) load(b), add_powers(b);
      write_gradient(b, result);
    });
  }

 private:
  template <class F>
  void for_each_block(int64_t first, int rows, F f) const {
    for (int64_t from = 0; from < a.classes; from += RowTile<T>::classes)
      f(RowBlock{first, rows, from, int(std::min<int64_t>(RowTile<T>::classes, a.classes - from))});
  }

  void load_state(int64_t first, int rows) {
    alignas(64) T scratch[lanes_];
    std::fill_n(state.factor, lanes_, T(1));
    multiply_by(a.weight, first, rows, state.factor, scratch);
    for (int r = 0; r < rows; ++r) state.slope[r] = state.factor[r] * T(scale);
    multiply_by(upstream, first, rows, state.slope, scratch);
    std::fill_n(state.counts, lanes_, T(1));
    std::fill_n(state.weight, lanes_, T(a.alpha));
    std::fill_n(state.other_logit, lanes_, T(0));
    if (has_other) return load_places(first, rows);
    if (Formula::by_class) load_classes(first, rows);
  }

  // A place between two bins: the target is the nearer one.
  void load_places(int64_t first, int rows) {
    load_values(a.places, first, rows, state.other_share);
    for (int r = 0; r < rows; ++r) {
      const Bins<T> bins(state.other_share[r], a.classes);
      state.target[r] = bins.near;
      state.other[r] = bins.far;
      state.other_share[r] = bins.far_share;
    }
  }

  void load_classes(int64_t first, int rows) {
    for (int r = 0; r < rows; ++r) {
      const int64_t index = a.class_index[first + r];
      const bool counts = index >= 0 && index < a.classes && index != a.ignore_index;
      state.target[r] = counts ? index : 0;
      state.counts[r] = T(counts);
      T weight = 1;
      if (a.class_weight.data) load_values(a.class_weight, state.target[r], 1, &weight);
      state.weight[r] = T(a.alpha) * weight;
      state.extra[r] = share_of_smoothing<T>(a) * weight;
    }
  }

  // A block's logits and what else there is of each class.
  void load(const RowBlock& b) {
    load_block(a.logits, a, b, tile.lines, tile.logits);
    if constexpr (Formula::dense) load_block(a.targets, a, b, tile.lines, tile.extra);
    if constexpr (Formula::by_class_weight) load_shares(b);
  }

  // Calls f(row, logit or gradient) for those of the rows' classes that are in a block.
  template <class F>
  IOULOSS_INLINE void at_classes(const RowBlock& b, const int64_t* classes, F f) {
    if constexpr (!Formula::by_class) return;
    if (b.classes == a.classes)
      for (int r = 0; r < b.rows; ++r) f(r, tile.logits[classes[r] * lanes_ + r]);
    else
      for (int r = 0; r < b.rows; ++r)
        if (const int64_t c = classes[r] - b.from; c >= 0 && c < b.classes) f(r, tile.logits[c * lanes_ + r]);
  }

  // Keeps the logits of the target classes, and takes them out of the comparison.
  void take_targets(const RowBlock& b) {
    if (has_other) at_classes(b, state.other, [&](int r, T& logit) { state.other_logit[r] = logit; });
    at_classes(b, state.target, [&](int r, T& logit) {
      state.logit[r] = logit;
      logit = T(-Limits<T>::largest);
    });
  }

  void load_shares(const RowBlock& b) {
    std::fill_n(tile.extra, b.classes, T(1));
    if (a.class_weight.data) load_values(a.class_weight, b.from, b.classes, tile.extra);
    for (int c = 0; c < b.classes; ++c) tile.extra[c] *= share_of_smoothing<T>(a);
  }

  IOULOSS_INLINE V extra(int c) const {
    if constexpr (Formula::dense)
      return V::load(tile.extra + c * lanes_);
    else
      return V(Formula::by_class_weight ? double(tile.extra[c]) : 0);
  }

  // Sums over the blocks are sums of their sums: no float32 is added to a far larger one.
  void add_powers(const RowBlock& b) {
    at_classes(b, state.target, [&](int r, T& logit) { logit = state.largest[r]; });
    V part[Formula::sums];
    for (V& x : part) x = V(0);
    for (int c = 0; c < b.classes; ++c) {
      const V below = Formula::below(largest, V::load(tile.logits + c * lanes_), parameters);
      const V e = exponential(-below);
      e.store(tile.powers + c * lanes_);
      Formula::add(part, below, e, extra(c));
    }
    for (int k = 0; k < Formula::sums; ++k) sum[k] = sum[k] + part[k];
  }

  RowResult<V> finish() {
    const RowTarget<V> target{V::load(state.logit), V::load(state.weight), V::load(state.extra),
                              V::load(state.other_logit), V::load(state.other_share)};
    RowResult<V> result = Formula::finish(target, largest, sum, parameters);
    const auto counts = V::load(state.counts) == V(1);
    const V slope = V::load(state.slope);
    select(counts, result.value * V::load(state.factor), V(0)).store(state.loss);
    select(counts, result.target * slope, V(0)).store(state.target_gradient);
    select(counts, result.other * slope, V(0)).store(state.other_gradient);
    return result;
  }

  void write_gradient(const RowBlock& b, const RowResult<V>& result) {
    const V slope = V::load(state.slope);
    const auto counts = V::load(state.counts) == V(1);
    for (int c = 0; c < b.classes; ++c) {
      T* const at = tile.logits + c * lanes_;
      const V below = Formula::below(largest, V::load(at), parameters);
      const V gradient = Formula::gradient(below, V::load(tile.powers + c * lanes_), extra(c), result);
      select(counts, gradient * slope, V(0)).store(at);
    }
    at_classes(b, state.target, [&](int r, T& gradient) { gradient = state.target_gradient[r]; });
    if (has_other) at_classes(b, state.other, [&](int r, T& gradient) { gradient += state.other_gradient[r]; });
    store_block(grad, a, b, tile.logits, tile.lines);
  }
};

// Writes the losses where they are wanted one by one; else, and where there is no upstream gradient, returns their sum.
template <class Formula, class T>
double write_rows(const RowArguments& a, const Values& upstream, double scale, const Output& grad, T* losses,
                  int64_t begin, int64_t end) {
  RowKernel<Formula, T> kernel(a, upstream, scale, grad);
  double sum = 0;
  for (int64_t first = begin; first < end; first += kernel.lanes_) {
    const int rows = int(std::min<int64_t>(kernel.lanes_, end - first));
    kernel.run(first, rows);
    if (losses)
      std::copy_n(kernel.state.loss, rows, losses + first);
    else
      sum += sum_of(kernel.state.loss, rows);
  }
  return sum;
}

}  // namespace IOULOSS_ARCH
}  // namespace iouloss
