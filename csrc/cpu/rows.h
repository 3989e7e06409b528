// The shape "rows of logits" on the CPU: C logits and a target make one loss, a tile of rows at a time. Rows with more
// classes than a tile holds go through it block by block, once for the loss and once for the gradient: see
// core/row_formulas.h.
#pragma once

#include "row_tile.h"

namespace iouloss {
inline namespace IOULOSS_ARCH {

// What the rows of a tile have besides their logits.
template <class T>
struct RowState {
  static constexpr int rows = RowTile<T>::rows;
  int64_t target[rows], other[rows];             // classes; -1 where there is none
  alignas(64) T logit[rows], other_logit[rows];  // see RowTarget, for the next line too
  alignas(64) T weight[rows], extra[rows], other_share[rows];
  alignas(64) T factor[rows];  // the row's weight
  alignas(64) T slope[rows];   // the row's weight times scale and upstream gradient
  alignas(64) T counts[rows];  // 1, or 0 for a row that does not count
  alignas(64) T loss[rows];
};

template <class Formula, class T>
struct RowKernel {
  using V = Native<T>;
  static constexpr int lanes_ = RowTile<T>::rows;

  const RowArguments& a;
  const Values& upstream;
  double scale;
  Output grad;  // without data, only losses are wanted
  RowParameters<T> parameters;
  RowTile<T> tile;
  RowState<T> state = {};
  const T share;  // see share_of_smoothing()
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

  // Computes the losses into state.loss and, if wanted, writes the gradients.
  void run(int64_t first, int rows) {
    if (rows < lanes_) std::fill_n(tile.logits, tile.classes * lanes_, T(0)), state = {};
    load_state(first, rows);
    look_ahead(first, rows);
    const bool resident = a.classes <= tile.classes;
    largest = V(-Limits<T>::largest);
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
    std::fill_n(state.weight, lanes_, T(a.options.alpha));
    if constexpr (Formula::by_two)
      load_places(first, rows);
    else if constexpr (Formula::by_class)
      load_classes(first, rows);
  }

  // For a place between two bins, `target` is the nearer bin, and `other` is the farther one.
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
      state.target[r] = counts ? index : -1;
      state.counts[r] = T(counts);
      T weight = 1;
      if (counts && a.class_weight.data) load_values(a.class_weight, index, 1, &weight);
      state.weight[r] = T(a.options.alpha) * weight;
      state.extra[r] = share * weight;
    }
  }

  // Loads the logits of a block, and what else the formula takes for each class.
  void load(const RowBlock& b) {
    load_block(a.logits, a, b, tile.lines, tile.logits);
    if constexpr (Formula::dense) load_block(a.targets, a, b, tile.lines, tile.extra);
    if constexpr (Formula::by_class_weight) load_shares(b);
    if constexpr (Formula::by_class) set_aside(b);
  }

  void load_shares(const RowBlock& b) {
    alignas(64) T weights[RowTile<T>::classes];
    if (a.class_weight.data) load_values(a.class_weight, b.from, b.classes, weights);
    for (int c = 0; c < b.classes; ++c)
      V(double(a.class_weight.data ? share * weights[c] : share)).store(tile.extra + c * lanes_);
  }

  // `classes` gives one class for each row. Calls f(row, index in the tile) for the rows whose class is in the block.
  template <class F>
  static IOULOSS_INLINE void each_place(const RowBlock& b, const int64_t* classes, F f) {
    for (int r = 0; r < b.rows; ++r) {
      const int64_t c = classes[r] - b.from;
      if (c >= 0 && c < b.classes) f(r, int(c) * lanes_ + r);
    }
  }

  // The sums leave out the target class. So its logit is saved in the state and replaced by -infinity, which adds
  // nothing to the sums.
  void set_aside(const RowBlock& b) {
    if constexpr (Formula::by_two)
      each_place(b, state.other, [&](int r, int at) { state.other_logit[r] = tile.logits[at]; });
    each_place(b, state.target, [&](int r, int at) {
      state.logit[r] = tile.logits[at];
      tile.logits[at] = -std::numeric_limits<T>::infinity();
      if constexpr (Formula::by_class_weight) tile.extra[at] = T(0);
    });
  }

  // Finds the memory that the next tile reads and that this one writes, so that it is fetched during the arithmetic.
  void look_ahead(int64_t first, int rows) {
    next_logits = rows_ahead(a.logits, a.logits.dtype, a, first + rows, lanes_);
    if constexpr (Formula::dense) next_targets = rows_ahead(a.targets, a.targets.dtype, a, first + rows, lanes_);
    ClassRows to = gradient_rows(a);
    to.data = grad.data;
    own_gradient = rows_ahead(to, grad.dtype, a, first, lanes_);
  }

  // Raises `largest` if the block has a larger logit, and adapts the sums so far to that.
  void raise_largest(const RowBlock& b) {
    V most = largest;
    for (int c = 0; c < b.classes; ++c) {
      own_gradient.fetch(b.from + c);
      most = maximum(most, V::load(tile.logits + c * lanes_));
    }
    most = Formula::origin(most);
    if (b.from > 0) {
      const V by = Formula::below(most, largest, parameters);
      Formula::raise(sum, by);
    }
    largest = most;
  }

  IOULOSS_INLINE V extra(int c) const {
    return Formula::dense || Formula::by_class_weight ? V::load(tile.extra + c * lanes_) : V(0);
  }

  // Adds up a few classes at a time, then adds these partial sums to the sum of the block, and that to the sum of the
  // row. So no number is lost to rounding by being added to a far larger one.
  void add_powers(const RowBlock& b) {
    constexpr int few = 16;
    const V most = largest;
    const auto p = parameters;
    V of_block[Formula::sums];
    for (V& x : of_block) x = V(0);
    for (int from = 0; from < b.classes; from += few) {
      V part[Formula::sums];
      for (V& x : part) x = V(0);
      for (int c = from; c < std::min(from + few, b.classes); ++c) {
        next_logits.fetch(b.from + c);
        if constexpr (Formula::dense) next_targets.fetch(b.from + c);
        const V x = V::load(tile.logits + c * lanes_), below = Formula::below(most, x, p);
        const V e = Formula::power(most, x, below);
        e.store(tile.powers + c * lanes_);
        Formula::add(part, below, e, extra(c));
      }
      for (int k = 0; k < Formula::sums; ++k) of_block[k] = of_block[k] + part[k];
    }
    for (int k = 0; k < Formula::sums; ++k) sum[k] = sum[k] + of_block[k];
  }

  void finish() {
    own.logit = V::load(state.logit);
    own.other_logit = V::load(state.other_logit);
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
    for (int c = 0; c < b.classes; ++c) {
      T* const at = tile.logits + c * lanes_;
      const V below = Formula::below(most, V::load(at), p);
      const V gradient = Formula::gradient(below, V::load(tile.powers + c * lanes_), extra(c), r);
      select(counts, gradient * slope, V(0)).store(at);
    }
    if constexpr (Formula::by_class) put_back(b, r.target * slope, r.other * slope);
    store_block(grad, a, b, tile.logits, tile.lines);
  }

  // Writes the gradient of the target class, which was set aside, and adds to that of the second class.
  void put_back(const RowBlock& b, V of_target, V of_other) {
    alignas(64) T gradient[lanes_];
    of_target.store(gradient);
    each_place(b, state.target, [&](int r, int at) { tile.logits[at] = gradient[r]; });
    if constexpr (!Formula::by_two) return;
    of_other.store(gradient);
    each_place(b, state.other, [&](int r, int at) { tile.logits[at] += gradient[r]; });
  }
};

// Writes the losses, or returns their sum where `losses` is null. Writes the gradient where `grad` has data.
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
