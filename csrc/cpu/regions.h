// The shape "regions" on the CPU: one pass over the logits gives the sums of the regions; another gives the gradient,
// from the slopes of the cells. A tile is some pixels of one image, class after class. Where the classes of a pixel
// compete (softmax), the exponentials of all classes stay in the cache.
#pragma once

#include <cstring>
#include <memory>
#include <new>

#include "../core/logit_formulas.h"
#include "../core/region_arguments.h"
#include "../core/region_formulas.h"
#include "region_parts.h"
#include "tile.h"

namespace iouloss {
inline namespace IOULOSS_ARCH {

// How many vectors are added in the number type of the computation, before their sum is added to one in float64.
inline constexpr int added_up = 4;
template <class T>
inline constexpr int group = added_up * lanes<T>;

template <class T>
struct WideSum {
  typedef double Wide __attribute__((vector_size(lanes<T> * sizeof(double))));
  Wide sum = {};

  IOULOSS_INLINE void add(Native<T> v) { sum += __builtin_convertvector(v.v, Wide); }
  double total() const {
    double of_half[lanes<T>];
    std::memcpy(of_half, &sum, sizeof(sum));
    for (int half = lanes<T> / 2; half > 0; half /= 2)
      for (int k = 0; k < half; ++k) of_half[k] += of_half[k + half];
    return of_half[0];
  }
};

// A probability and its complement.
template <class V>
struct Probability {
  V p, n;
};

// How a value alone gives a probability: SigmoidOf takes its sigmoid, GivenProbability takes it as it is. `nothing` is
// a value whose probability is 0. chain() turns a derivative with respect to the probability into one with respect to
// the value.
struct SigmoidOf {
  static constexpr double nothing = -Limits<float>::largest;
  template <class V>
  static IOULOSS_INLINE Probability<V> probability(V x) {
    const Sigmoid<V> s(x);
    return {s.p, s.n};
  }
  template <class V>
  static IOULOSS_INLINE V chain(const Probability<V>& at, V slope) {
    return at.p * at.n * slope;
  }
};

struct GivenProbability {
  static constexpr double nothing = 0;
  template <class V>
  static IOULOSS_INLINE Probability<V> probability(V x) {
    return {x, V(1) - x};
  }
  template <class V>
  static IOULOSS_INLINE V chain(const Probability<V>&, V slope) {
    return slope;
  }
};

// What a tile holds as targets. DenseTargets: the targets of one class at a time. ClassTargets: the class of each
// pixel, stored as a floating-point number. target() is the target of a pixel in a class. counted() is x, or
// `otherwise` where the pixel is ignored.
struct DenseTargets {
  template <class V>
  static IOULOSS_INLINE V target(V t, V) {
    return t;
  }
  template <class V>
  static IOULOSS_INLINE V counted(V, V x, V) {
    return x;
  }
};

struct ClassTargets {
  static constexpr int background = -1, ignored = -2;
  template <class V>
  static IOULOSS_INLINE V target(V label, V of_class) {
    return select(label == of_class, V(1), V(0));
  }
  template <class V>
  static IOULOSS_INLINE V counted(V label, V x, V otherwise) {
    return select(label == V(ignored), otherwise, x);
  }
};

// `count` arrays of `size` values each, aligned for vectors.
template <class T>
class Arrays {
 public:
  Arrays(int64_t count, int size)
      : size_(size), data_(static_cast<T*>(::operator new[](count * size * sizeof(T), std::align_val_t(64)))) {}
  T* operator[](int64_t i) { return data_.get() + i * size_; }

 private:
  struct Free {
    void operator()(T* p) const { ::operator delete[](p, std::align_val_t(64)); }
  };
  int size_;
  std::unique_ptr<T[], Free> data_;
};

// Some pixels of one image, and the targets of one class at a time. Arrays are filled up to whole groups with values
// that add nothing to any sum.
template <class Target, class T>
struct RegionTile {
  const RegionArguments& a;
  int64_t image = 0, first = 0;
  int n = 0, filled = 0;
  alignas(64) T targets[part_unit];

  void place(int64_t image_, int64_t first_, int n_) {
    image = image_, first = first_, n = n_;
    filled = (n + group<T> - 1) / group<T> * group<T>;
    if constexpr (std::is_same_v<Target, ClassTargets>) {
      visit_integers(a.class_index.data, a.class_index.dtype, [&](const auto* data) {
        for (int i = 0; i < n; ++i) {
          const int64_t index = data[image * a.pixels + first + i];
          const bool known = index >= 0 && index < a.classes;
          targets[i] = index == a.ignore_index ? T(Target::ignored) : known ? T(index) : T(Target::background);
        }
      });
      std::fill(targets + n, targets + filled, T(Target::background));
    }
  }

  int64_t at(int64_t of_class) const { return (image * a.classes + of_class) * a.pixels + first; }

  void load_logits(int64_t of_class, T nothing, T* row) const {
    load_values(a.logits, at(of_class), n, row);
    std::fill(row + n, row + filled, nothing);
  }

  void load_targets(int64_t of_class) {
    if constexpr (std::is_same_v<Target, DenseTargets>) {
      load_values(a.targets, at(of_class), n, targets);
      std::fill(targets + n, targets + filled, T(0));
    }
  }

  // What is read after the row of a class: the row of the next class, or the next tile after the last class.
  int64_t next(int64_t of_class) const { return of_class + 1 < a.classes ? at(of_class + 1) : at(0) + n; }
  Ahead next_logits(int64_t of_class) const { return ahead_of(a.logits.data, a.logits.dtype, next(of_class)); }
  Ahead next_targets(int64_t of_class) const { return ahead_of(a.targets.data, a.targets.dtype, next(of_class)); }
};

// ---- the probabilities of a tile ---------------------------------------------------------------------------------

// Each probability comes from its own logit.
template <class Of, class Target, class T>
struct Separate {
  using V = Native<T>;
  using Tile = RegionTile<Target, T>;
  static constexpr int tile_size(int64_t) { return part_unit; }
  alignas(64) T logits[part_unit];

  Separate(int64_t, int) {}
  void prepare(const Tile&) {}
  const T* row(const Tile& tile, int64_t of_class) {
    tile.load_logits(of_class, T(Of::nothing), logits);
    return logits;
  }
  IOULOSS_INLINE Probability<V> probability(const T* row, int i, V label, V) const {
    return Of::probability(Target::counted(label, V::load(row + i), V(Of::nothing)));
  }
};

// The probabilities come from a softmax: exponentials of the distance to the largest logit, times the inverse of their
// sum. For a pixel that does not count, `inverse` is 0, and so are its probabilities.
template <class Target, class T>
struct Competing {
  using V = Native<T>;
  using Tile = RegionTile<Target, T>;
  // As many whole groups of pixels as fit into 32 KB with all their classes; at least one group.
  static int tile_size(int64_t classes) {
    const int64_t groups = 32768 / (std::max<int64_t>(classes, 1) * sizeof(T) * group<T>);
    return int(std::clamp<int64_t>(groups * group<T>, group<T>, part_unit));
  }
  Arrays<T> exponentials;
  alignas(64) T top[part_unit];      // the class of the largest logit
  alignas(64) T largest[part_unit];  // the largest logit
  alignas(64) T rest[part_unit];     // the sum of the other exponentials
  alignas(64) T inverse[part_unit];  // 1 / the sum of all

  Competing(int64_t classes, int size) : exponentials(classes, size) {}
  const T* row(const Tile&, int64_t of_class) { return exponentials[of_class]; }

  void prepare(const Tile& tile) {
    std::fill_n(largest, tile.filled, -std::numeric_limits<T>::infinity());
    std::fill_n(top, tile.filled, T(0));
    std::fill_n(rest, tile.filled, T(0));
    for (int64_t c = 0; c < tile.a.classes; ++c) {
      T* const row = exponentials[c];
      tile.load_logits(c, T(0), row);
      const Ahead ahead = tile.next_logits(c);
      for (int i = 0; i < tile.filled; i += lanes<T>) {
        ahead.fetch(i, lanes<T>);
        const V x = Target::counted(V::load(tile.targets + i), V::load(row + i), V(0)), most = V::load(largest + i);
        x.store(row + i);
        select(x > most, V(double(c)), V::load(top + i)).store(top + i);
        select(x > most, x, most).store(largest + i);
      }
    }
    for (int64_t c = 0; c < tile.a.classes; ++c) {
      T* const row = exponentials[c];
      for (int i = 0; i < tile.filled; i += lanes<T>) {
        const V e = exponential(V::load(row + i) - V::load(largest + i));
        e.store(row + i);
        (V::load(rest + i) + select(V::load(top + i) == V(double(c)), V(0), e)).store(rest + i);
      }
    }
    for (int i = 0; i < tile.filled; i += lanes<T>) {
      // The last term is 0, or NaN if the largest logit is infinite.
      const V most = V::load(largest + i), all = reciprocal(V(1) + V::load(rest + i)) + (most - most);
      Target::counted(V::load(tile.targets + i), all, V(0)).store(inverse + i);
    }
    std::fill(inverse + tile.n, inverse + tile.filled, T(0));
  }

  IOULOSS_INLINE Probability<V> probability(const T* row, int i, V, V of_class) const {
    const V all = V::load(inverse + i), p = V::load(row + i) * all;
    return {p, select(V::load(top + i) == of_class, V::load(rest + i) * all, V(1) - p)};
  }
};

// ---- passes over the parts [begin, end) --------------------------------------------------------------------------

// Calls f(part, tile, probabilities) for every tile.
template <class Probabilities, class Target, class T, class F>
void for_each_tile(const RegionArguments& a, int64_t begin, int64_t end, F f) {
  const int size = Probabilities::tile_size(a.classes);
  Probabilities probabilities(a.classes, size);
  RegionTile<Target, T> tile{a};
  const int64_t parts = parts_of_image(a), pixels = pixels_of_part(a);
  for (int64_t part = begin; part < end; ++part) {
    const int64_t first = part % parts * pixels, last = std::min(first + pixels, a.pixels);
    for (int64_t i = first; i < last; i += size) {
      tile.place(part / parts, i, int(std::min<int64_t>(size, last - i)));
      probabilities.prepare(tile);
      f(part, tile, probabilities);
    }
  }
}

// Adds to the sums of each class of each part, which the caller has set to 0.
template <class Probabilities, class Target, class Terms, class T>
void add_region_sums(const RegionArguments& a, RegionSums* sums, int64_t begin, int64_t end) {
  using V = Native<T>;
  for_each_tile<Probabilities, Target, T>(a, begin, end, [&](int64_t part, auto& tile, auto& probabilities) {
    for (int64_t c = 0; c < a.classes; ++c) {
      const T* const row = probabilities.row(tile, c);
      tile.load_targets(c);
      const Ahead ahead[] = {tile.next_logits(c), tile.next_targets(c)};
      const V of_class{double(c)};
      WideSum<T> overlap, extra, missed;
      for (int i = 0; i < tile.filled; i += group<T>) {
        for (const Ahead& next : ahead) next.fetch(i, group<T>);
        RegionTerms<V> added{V(0), V(0), V(0)};
        for (int k = i; k < i + group<T>; k += lanes<T>) {
          const V t = V::load(tile.targets + k);
          const Probability<V> at = probabilities.probability(row, k, t, of_class);
          const RegionTerms<V> terms = Terms::terms(at.p, at.n, Target::target(t, of_class));
          added = {added.overlap + terms.overlap, added.extra + terms.extra, added.missed + terms.missed};
        }
        overlap.add(added.overlap), extra.add(added.extra), missed.add(added.missed);
      }
      add(sums[part * a.classes + c], {overlap.total(), extra.total(), missed.total()});
    }
  });
}

template <class Of, class Target, class Terms, class T>
void write_separate_gradient(const RegionArguments& a, const Slopes<T>* slopes, const Output& grad, int64_t begin,
                             int64_t end) {
  using V = Native<T>;
  using Probabilities = Separate<Of, Target, T>;
  alignas(64) T out[part_unit];
  for_each_tile<Probabilities, Target, T>(a, begin, end, [&](int64_t, auto& tile, auto& probabilities) {
    for (int64_t c = 0; c < a.classes; ++c) {
      const T* const row = probabilities.row(tile, c);
      tile.load_targets(c);
      const Ahead ahead[] = {tile.next_logits(c), tile.next_targets(c), ahead_of(grad.data, grad.dtype, tile.at(c))};
      const V of_class{double(c)};
      const Slopes<T> s = slopes[tile.image * a.classes + c];
      const V of_error{double(s.of_error)}, of_target{double(s.of_target)};
      for (int i = 0; i < tile.filled; i += lanes<T>) {
        for (const Ahead& next : ahead) next.fetch(i, lanes<T>);
        const V t = V::load(tile.targets + i);
        const Probability<V> at = probabilities.probability(row, i, t, of_class);
        const V slope = Terms::slope(at.p, at.n, Target::target(t, of_class), of_error, of_target);
        Target::counted(t, Of::chain(at, slope), V(0)).store(out + i);
      }
      store_values(out, tile.n, grad, tile.at(c));
    }
  });
}

// dL/dx_c = p_c (h_c - sum of p_k h_k), where h_k is the derivative with respect to p_k. The h of the likeliest class
// is first subtracted from every h. That does not change the gradient, but where one class has nearly all of the
// probability, nothing cancels any more.
template <class Target, class Terms, class T>
void write_competing_gradient(const RegionArguments& a, const Slopes<T>* slopes, const Output& grad, int64_t begin,
                              int64_t end) {
  using V = Native<T>;
  using Probabilities = Competing<Target, T>;
  Arrays<T> slope(a.classes, Probabilities::tile_size(a.classes));
  alignas(64) T of_top[part_unit], mean[part_unit], out[part_unit];
  for_each_tile<Probabilities, Target, T>(a, begin, end, [&](int64_t, auto& tile, auto& probabilities) {
    std::fill_n(mean, tile.filled, T(0));
    std::fill_n(of_top, tile.filled, T(0));
    for (int64_t c = 0; c < a.classes; ++c) {
      tile.load_targets(c);
      const Ahead ahead = tile.next_targets(c);
      const V of_class{double(c)};
      const Slopes<T> s = slopes[tile.image * a.classes + c];
      const V of_error{double(s.of_error)}, of_target{double(s.of_target)};
      for (int i = 0; i < tile.filled; i += lanes<T>) {
        ahead.fetch(i, lanes<T>);
        const V t = V::load(tile.targets + i);
        const Probability<V> at = probabilities.probability(probabilities.row(tile, c), i, t, of_class);
        const V h = Terms::slope(at.p, at.n, Target::target(t, of_class), of_error, of_target);
        h.store(slope[c] + i);
        select(V::load(probabilities.top + i) == of_class, h, V::load(of_top + i)).store(of_top + i);
      }
    }
    for (int64_t c = 0; c < a.classes; ++c)
      for (int i = 0; i < tile.filled; i += lanes<T>) {
        const V p = V::load(probabilities.row(tile, c) + i) * V::load(probabilities.inverse + i);
        mul_add(p, V::load(slope[c] + i) - V::load(of_top + i), V::load(mean + i)).store(mean + i);
      }
    for (int64_t c = 0; c < a.classes; ++c) {
      const Ahead ahead = ahead_of(grad.data, grad.dtype, tile.at(c));
      for (int i = 0; i < tile.filled; i += lanes<T>) {
        ahead.fetch(i, lanes<T>);
        const V p = V::load(probabilities.row(tile, c) + i) * V::load(probabilities.inverse + i);
        const V g = p * ((V::load(slope[c] + i) - V::load(of_top + i)) - V::load(mean + i));
        Target::counted(V::load(tile.targets + i), g, V(0)).store(out + i);
      }
      store_values(out, tile.n, grad, tile.at(c));
    }
  });
}

}  // namespace IOULOSS_ARCH
}  // namespace iouloss
