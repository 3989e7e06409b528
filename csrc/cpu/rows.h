// The shape "rows of logits" on the CPU: C logits and a target to one loss, a tile of rows at a time. Rows of so many
// classes that a tile does not hold them go through it block by block, once for the loss and once for the gradient; see
// core/row_formulas.h.
#pragma once

#include "row_tile.h"

namespace iouloss {
inline namespace IOULOSS_ARCH {

// What a tile's rows have beside their logits.
template <class T>
struct RowState {
  static constexpr int rows = RowTile<T>::rows;
  alignas(64) T target[rows], other[rows];                     // classes, exact to 2^24; -1 where there is none
  alignas(64) T weight[rows], extra[rows], other_share[rows];  // see RowTarget
  alignas(64) T factor[rows];                                  // the row's weight
  alignas(64) T slope[rows];                                   // times what is upstream
  alignas(64) T counts[rows];  // 1, or 0 for a row that counts for nothing whatever is in it
  alignas(64) T loss[rows];
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
  const T share;  // of a class in the smoothing, before its weight
  V largest, sum[Formula::sums];
  RowTarget<V> own;
  RowResult<V> result;
  RowsAhead next_logits, next_targets, own_gradient;

  RowKernel(const RowArguments& a, const Values& upstream, double scale, const Output& grad)
      : a(a),
        upstream(upstream),
        scale(scale),
        grad(grad),
        parameters(row_parameters<T>(a)),
        share(share_of_smoothing<T>(a)) {}

  // The losses of a row each, in state.loss; and their gradients, written.
  void run(int64_t first, int rows) {
    if (rows < lanes_) std::fill_n(tile.logits, tile.classes * lanes_, T(0)), state = {};
    load_state(first, rows);
    look_ahead(first, rows);
    const bool resident = a.classes <= tile.classes;
    largest = V(-Limits<T>::largest);
    own.logit = own.other_logit = V(0);
    for (V& total : sum) total = V(0);
    for_each_block(first, rows, [&](const RowBlock& b) {
      load(b);
      raise_largest(b);
      add_powers(b);
    });
    finish();
    if (!grad.data) return;
    for_each_block(first, rows, [&](const RowBlock& b) {
      if (!resident) load(b), add_powers(b);
      write_gradient(b);
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
    if constexpr (Formula::by_two)
      load_places(first, rows);
    else if constexpr (Formula::by_class)
      load_classes(first, rows);
  }

  // A place between two bins: the target is the nearer one.
  void load_places(int64_t first, int rows) {
    load_values(a.places, first, rows, state.other_share);
    for (int r = 0; r < rows; ++r) {
      const Bins<T> bins(state.other_share[r], a.classes);
      state.target[r] = T(bins.near);
      state.other[r] = T(bins.far);
      state.other_share[r] = bins.far_share;
    }
  }

  void load_classes(int64_t first, int rows) {
    for (int r = 0; r < rows; ++r) {
      const int64_t index = a.class_index[first + r];
      const bool counts = index >= 0 && index < a.classes && index != a.ignore_index;
      state.target[r] = counts ? T(index) : T(-1);
      state.counts[r] = T(counts);
      T weight = 1;
      if (counts && a.class_weight.data) load_values(a.class_weight, index, 1, &weight);
      state.weight[r] = T(a.alpha) * weight;
      state.extra[r] = share * weight;
    }
  }

  // A block's logits and what else there is of each class.
  void load(const RowBlock& b) {
    load_block(a.logits, a, b, tile.lines, tile.logits);
    if constexpr (Formula::dense) load_block(a.targets, a, b, tile.lines, tile.extra);
    if constexpr (Formula::by_class_weight) load_shares(b);
  }

  // Calls f(class of the block, whether it is each row's target, whether it is the other one) in their order.
  template <class F>
  IOULOSS_INLINE void each_class(const RowBlock& b, F f) const {
    const V target = V::load(state.target), other = V::load(state.other), one(1);
    V number(double(b.from));
    for (int c = 0; c < b.classes; ++c, number = number + one) f(c, number == target, number == other);
  }

  // What the next tile reads and this one writes, so that the memory works while the arithmetic does.
  void look_ahead(int64_t first, int rows) {
    next_logits = rows_ahead(a.logits, a.logits.dtype, a, first + rows, lanes_);
    if constexpr (Formula::dense) next_targets = rows_ahead(a.targets, a.targets.dtype, a, first + rows, lanes_);
    ClassRows to = gradient_rows(a);
    to.data = grad.data;
    own_gradient = rows_ahead(to, grad.dtype, a, first, lanes_);
  }

  // Of the classes that are not the target, with what was summed so far. The logits of the target and the other class
  // are kept.
  void raise_largest(const RowBlock& b) {
    const V lowest(-Limits<T>::largest);
    V most = largest, logit = own.logit, other_logit = own.other_logit;  // in registers
    each_class(b, [&](int c, auto is_target, auto is_other) {
      own_gradient.fetch(b.from + c);
      V x = V::load(tile.logits + c * lanes_);
      if constexpr (Formula::by_class) {
        logit = select(is_target, x, logit);
        if constexpr (Formula::by_two) other_logit = select(is_other, x, other_logit);
        x = select(is_target, lowest, x);
      }
      most = maximum(most, x);
    });
    if (b.from > 0) {
      const V by = Formula::below(most, largest, parameters);
      Formula::raise(sum, by, exponential(-by));
    }
    largest = most;
    own.logit = logit;
    own.other_logit = other_logit;
  }

  void load_shares(const RowBlock& b) {
    std::fill_n(tile.extra, b.classes, T(1));
    if (a.class_weight.data) load_values(a.class_weight, b.from, b.classes, tile.extra);
    for (int c = 0; c < b.classes; ++c) tile.extra[c] *= share;
  }

  IOULOSS_INLINE V extra(int c) const {
    if constexpr (Formula::dense)
      return V::load(tile.extra + c * lanes_);
    else
      return V(Formula::by_class_weight ? double(tile.extra[c]) : 0);
  }

  // Sums over the blocks are sums of their sums: no float32 is added to a far larger one.
  void add_powers(const RowBlock& b) {
    V part[Formula::sums];
    for (V& x : part) x = V(0);
    const V most = largest;
    const auto p = parameters;
    each_class(b, [&](int c, auto is_target, auto) {
      next_logits.fetch(b.from + c);
      if constexpr (Formula::dense) next_targets.fetch(b.from + c);
      V x = V::load(tile.logits + c * lanes_), share = extra(c);
      if constexpr (Formula::by_class) {
        x = select(is_target, most, x);
        share = select(is_target, V(0), share);
      }
      const V below = Formula::below(most, x, p);
      V e = exponential(-below);
      if constexpr (Formula::by_class) e = select(is_target, V(0), e);
      e.store(tile.powers + c * lanes_);
      Formula::add(part, below, e, share);
    });
    for (int k = 0; k < Formula::sums; ++k) sum[k] = sum[k] + part[k];
  }

  void finish() {
    own.weight = V::load(state.weight);
    own.extra = V::load(state.extra);
    own.other_share = V::load(state.other_share);
    result = Formula::finish(own, largest, sum, parameters);
    const auto counts = V::load(state.counts) == V(1);
    select(counts, result.value * V::load(state.factor), V(0)).store(state.loss);
  }

  void write_gradient(const RowBlock& b) {
    const V slope = V::load(state.slope);
    const auto counts = V::load(state.counts) == V(1);
    const V most = largest;
    const auto p = parameters;
    const RowResult<V> r = result;
    each_class(b, [&](int c, auto is_target, auto is_other) {
      T* const at = tile.logits + c * lanes_;
      const V below = Formula::below(most, V::load(at), p);
      V gradient = Formula::gradient(below, V::load(tile.powers + c * lanes_), extra(c), r);
      if constexpr (Formula::by_class) {
        gradient = select(is_target, r.target, gradient);
        if constexpr (Formula::by_two) gradient = select(is_other, gradient + r.other, gradient);
      }
      select(counts, gradient * slope, V(0)).store(at);
    });
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
