// The kernels of one instruction set against the formulas as scalars in double precision: every dtype, layout, number
// of boxes or logits around the size of a tile, and part of a batch; and that they write that part alone.
#include <algorithm>
#include <cmath>
#include <random>
#include <vector>

#include "../../csrc/core/box_formulas.h"
#include "../../csrc/core/logit_formulas.h"
#include "../../csrc/cpu/convert.h"
#include "check.h"

namespace iouloss {
namespace {

constexpr Dtype dtypes[] = {Dtype::float32, Dtype::float64, Dtype::float16, Dtype::bfloat16};
constexpr BoxFormat formats[] = {BoxFormat::xyxy, BoxFormat::xywh, BoxFormat::cxcywh};

double uniform(double low, double high) {
  static std::mt19937_64 engine(1);
  return std::uniform_real_distribution(low, high)(engine);
}

// Numbers of any dtype, in memory of just their size: a sanitizer sees what reads beside them.
class Array {
 public:
  Array(Dtype dtype, int64_t size) : dtype_(dtype), bytes_(size * bytes_of(dtype), sentinel) {}

  Dtype dtype() const { return dtype_; }
  void* data() { return bytes_.data(); }
  double operator[](int64_t i) const {
    return visit(bytes_.data(), dtype_, [i](const auto* p) { return double(to_float(p[i])); });
  }
  void set(int64_t i, double x) {
    visit(data(), dtype_, [&](auto* p) { p[i] = Rounded<std::remove_pointer_t<decltype(p)>>::of(x); });
  }
  bool is_untouched(int64_t begin, int64_t end) const {
    const auto at = [&](int64_t i) { return bytes_.begin() + i * bytes_of(dtype_); };
    return std::all_of(at(begin), at(end), [](unsigned char byte) { return byte == sentinel; });
  }

 private:
  static constexpr unsigned char sentinel = 0xa5;
  static int bytes_of(Dtype dtype) { return dtype == Dtype::float64 ? 8 : dtype == Dtype::float32 ? 4 : 2; }
  Dtype dtype_;
  std::vector<unsigned char> bytes_;
};

// What rounding a result x to its dtype may add to its error.
double rounding(Dtype dtype, double x) {
  if (dtype == Dtype::bfloat16) return 0x1p-8 * std::fabs(x);
  if (dtype == Dtype::float16) return 0x1p-11 * std::fabs(x) + 0x1p-25;
  return 0;
}

// What an output has beyond its end, to see that it is left alone.
constexpr int64_t margin = 64;

// The part of a batch that a kernel is given.
struct Range {
  int64_t begin, end;
};
std::vector<Range> ranges(int64_t n) { return {{0, n}, {n / 5, n - n / 7}}; }

// One factor for each of n results: none, one that is repeated, or n.
class Factors {
 public:
  enum Kind { none, repeated, each };
  Factors(Kind kind, Dtype dtype, int64_t n) : kind_(kind), array_(dtype, kind == none ? 0 : kind == repeated ? 1 : n) {
    if (kind == repeated) n = 1;
    for (int64_t i = 0; i < n && kind != none; ++i) array_.set(i, uniform(0.2, 0.9));
  }
  double operator[](int64_t i) const { return kind_ == none ? 1 : array_[kind_ == each ? i : 0]; }
  Values values() { return {kind_ == none ? nullptr : array_.data(), array_.dtype(), kind_ == each ? 1 : 0}; }

 private:
  Kind kind_;
  Array array_;
};

// ---- boxes -------------------------------------------------------------------------------------------------------

struct BoxTruth {
  double value;
  Row4<double> gradient;
};

template <class Formula>
BoxTruth truth_of(const Row4<double>& pred, const Row4<double>& target, BoxFormat format, double eps,
                  const BoxOptions<double>& options) {
  Pair<double> b = measure(pred, target, format);
  const Parameters<double> p(eps, options);
  measure_overlap(b, eps);
  Partials<double> d;
  const double value = Formula::evaluate(b, p, d);
  return {value, to_gradient(b, d, format)};
}

constexpr decltype(&truth_of<GIoU>) truths[] = {
#define X(name, formula, ...) truth_of<formula>,
    IOULOSS_BOX_FORMULAS(X)
#undef X
};

// Rows of four in one of the layouts of a tensor.
class Boxes {
 public:
  enum Layout { rows, columns, apart };  // contiguous; transposed; a row every five values
  Boxes(Dtype dtype, Layout layout, int64_t n)
      : row_stride_(layout == columns ? 1
                    : layout == rows  ? 4
                                      : 5),
        column_stride_(layout == columns ? n : 1),
        array_(dtype, n == 0 ? 0 : (n - 1) * row_stride_ + 3 * column_stride_ + 1) {}
  void set(int64_t i, const Row4<double>& box) {
    int64_t at = i * row_stride_;
    for (double x : {box.c0, box.c1, box.c2, box.c3}) array_.set(at, x), at += column_stride_;
  }
  Row4<double> operator[](int64_t i) const {
    const int64_t at = i * row_stride_, next = column_stride_;
    return {array_[at], array_[at + next], array_[at + 2 * next], array_[at + 3 * next]};
  }
  Rows rows_of() { return {array_.data(), array_.dtype(), row_stride_, column_stride_}; }

 private:
  int64_t row_stride_, column_stride_;
  Array array_;
};

// Two of them overlap well or are apart: the logarithm of a sliver of an intersection has no digits in float32.
Row4<double> random_box(BoxFormat format, double scale) {
  const double x = uniform(0, 0.6) * scale, y = (uniform(0, 0.6) + (uniform(0, 1) < 0.2 ? 3 : 0)) * scale;
  const double w = uniform(1, 2) * scale, h = uniform(1, 2) * scale;
  if (format == BoxFormat::xyxy) return {x, y, x + w, y + h};
  return {x, y, w, h};
}

struct BoxCase {
  BoxFormula formula;
  BoxFormat format;
  Dtype dtype;
  Boxes::Layout layout;
  double scale;
  Factors::Kind weight, upstream;
  int64_t n;
};

void test_boxes(const CpuKernels& kernels, const BoxCase& c) {
  const char* name = BoxTable::rows[int(c.formula)].name;
  const bool float64 = c.dtype == Dtype::float64;
  Boxes pred(c.dtype, c.layout, c.n), target(c.dtype, Boxes::rows, c.n);
  for (int64_t i = 0; i < c.n; ++i) {
    pred.set(i, random_box(c.format, c.scale));
    target.set(i, random_box(c.format, c.scale));
  }
  Factors weight(c.weight, c.dtype, c.n), upstream(c.upstream, c.dtype, c.n);
  const BoxArguments a{c.formula,       float64, c.n,      pred.rows_of(), target.rows_of(),
                       weight.values(), nullptr, c.format, 1e-7,           options_of(0.7)};
  const double scale = 0.25, tolerance = float64 ? 1e-12 : 2e-6;
  for (const Range& r : ranges(c.n)) {
    Array losses(float64 ? Dtype::float64 : Dtype::float32, c.n + margin), grad(c.dtype, 4 * c.n + margin);
    check(kernels.boxes.losses(a, losses.data(), r.begin, r.end) == 0, "%s: a sum beside the losses", name);
    kernels.boxes.gradient(a, upstream.values(), scale, {grad.data(), c.dtype}, r.begin, r.end);

    std::vector<Row4<double>> gradients;
    double sum = 0, largest = 0;
    for (int64_t i = r.begin; i < r.end; ++i) {
      const BoxTruth truth = truths[int(c.formula)](pred[i], target[i], c.format, a.eps, a.options);
      const double value = truth.value * weight[i];
      check(std::fabs(losses[i] - value) <= tolerance * std::max(1., std::fabs(value)),
            "%s, format %d, dtype %d, scale %g, loss %d of %d: %.9g, wants %.9g", name, int(c.format), int(c.dtype),
            c.scale, int(i), int(c.n), losses[i], value);
      sum += losses[i];
      const Row4<double> g = truth.gradient * (weight[i] * upstream[i] * scale);
      gradients.push_back(g);
      for (double x : {g.c0, g.c1, g.c2, g.c3}) largest = std::max(largest, std::fabs(x));
    }
    for (int64_t i = r.begin; i < r.end; ++i) {
      const Row4<double>& g = gradients[i - r.begin];
      int64_t at = 4 * i;
      for (double wants : {g.c0, g.c1, g.c2, g.c3}) {
        check(std::fabs(grad[at] - wants) <= tolerance * largest + rounding(c.dtype, wants),
              "%s, format %d, dtype %d, scale %g, gradient %d of %d: %.9g, wants %.9g (the largest is %g)", name,
              int(c.format), int(c.dtype), c.scale, int(i), int(c.n), grad[at], wants, largest);
        ++at;
      }
    }
    check(std::fabs(kernels.boxes.losses(a, nullptr, r.begin, r.end) - sum) <= 1e-12 * std::fabs(sum),
          "%s: the sum is not that of the losses", name);
    check(losses.is_untouched(0, r.begin) && losses.is_untouched(r.end, c.n + margin) &&
              grad.is_untouched(0, 4 * r.begin) && grad.is_untouched(4 * r.end, 4 * c.n + margin),
          "%s wrote outside [%d, %d) of %d", name, int(r.begin), int(r.end), int(c.n));
  }
}

void test_boxes(const CpuKernels& kernels) {
  int k = 0;  // walks through what need not be combined with everything else
  for (size_t formula = 0; formula < std::size(BoxTable::rows); ++formula)
    for (BoxFormat format : formats)
      for (Dtype dtype : dtypes)
        for (int64_t n : {0, 1, 15, 31, 33, 255, 256, 257, 600}) {
          ++k;
          // The largest has areas that overflow.
          const double scale = k % 3 == 0 ? 0.5 : k % 3 == 1 || dtype == Dtype::float16 ? 100 : 1e30;
          test_boxes(kernels, {BoxFormula(formula), format, dtype, Boxes::Layout(k / 3 % 3), scale,
                               Factors::Kind(k / 2 % 3), Factors::Kind(1 + k % 2), n});
        }
}

// ---- logits ------------------------------------------------------------------------------------------------------

enum class Targets { hard, soft, class_index };

struct FocalCase {
  Targets targets;
  Dtype dtype;
  double gamma;
  Factors::Kind weight, upstream;
  bool weight_per_row, alpha_per_class;
  int64_t rows, classes;
};

constexpr int64_t ignored = -100;

void test_logits(const CpuKernels& kernels, const FocalCase& c) {
  const int64_t n = c.rows * c.classes;
  const bool float64 = c.dtype == Dtype::float64, dense = c.targets != Targets::class_index;
  Array logits(c.dtype, n), targets(c.dtype, dense ? n : 0);
  for (int64_t i = 0; i < n; ++i) {
    logits.set(i, uniform(-25, 25));
    if (dense) targets.set(i, c.targets == Targets::soft ? uniform(0, 1) : uniform(0, 1) < 0.3);
  }
  std::vector<int64_t> index(dense ? 0 : c.rows);
  for (int64_t& i : index) i = uniform(0, 1) < 0.1 ? ignored : int64_t(uniform(-1, double(c.classes + 1)));
  const std::vector<int32_t> narrow(index.begin(), index.end());
  Factors weight(c.weight, c.dtype, c.weight_per_row ? c.rows : n), upstream(c.upstream, c.dtype, n);
  Factors alpha(c.alpha_per_class ? Factors::each : Factors::none, c.dtype, c.classes);

  LogitArguments a{};
  a.float64 = float64, a.n = n, a.classes = c.classes;
  a.logits = {logits.data(), c.dtype, 1};
  if (dense)
    a.targets = {targets.data(), c.dtype, 1};
  else
    a.class_index = c.rows % 2 ? Indices{index.data(), Dtype::int64} : Indices{narrow.data(), Dtype::int32};
  a.ignore_index = ignored;
  a.weight = weight.values(), a.weight_per_row = c.weight_per_row;
  a.alpha_per_class = alpha.values(), a.alpha1 = 0.5, a.alpha0 = 0.75, a.complement = c.alpha_per_class;
  a.options.gamma = c.gamma;
  a.formula = c.gamma == 2 ? LogitFormula::square_focal : LogitFormula::focal;

  const double scale = 0.25, tolerance = float64 ? 1e-12 : 1e-5;
  for (const Range& r : ranges(n)) {
    Array losses(float64 ? Dtype::float64 : Dtype::float32, n + margin), grad(c.dtype, n + margin);
    check(kernels.logits.losses(a, losses.data(), r.begin, r.end) == 0, "focal: a sum beside the losses");
    kernels.logits.gradient(a, upstream.values(), scale, {grad.data(), c.dtype}, r.begin, r.end);
    double sum = 0;
    for (int64_t i = r.begin; i < r.end; ++i) {
      const int64_t row = i / c.classes, column = i % c.classes;
      const double z = dense ? targets[i] : index[row] == column;
      const double share = c.alpha_per_class ? alpha[column] : 1, rest = c.alpha_per_class ? 1 - share : 1;
      const LogitParameters<double> f(a.options, a.alpha1 * share, a.alpha0 * rest, 0);
      const double factor = (!dense && index[row] == ignored) ? 0 : weight[c.weight_per_row ? row : i];
      const double value = factor * PowerFocal::evaluate(logits[i], z, f).value;
      const double gradient = factor * scale * upstream[i] * PowerFocal::evaluate(logits[i], z, f).gradient;
      check(std::fabs(losses[i] - value) <= tolerance * std::fabs(value) + 1e-25,
            "focal, targets %d, dtype %d, gamma %g, loss %d of %d: %.9g, wants %.9g", int(c.targets), int(c.dtype),
            c.gamma, int(i), int(n), losses[i], value);
      // The terms of a soft target's gradient may cancel.
      const double slack = c.targets == Targets::soft ? 1e-6 : 1e-25;
      check(std::fabs(grad[i] - gradient) <= tolerance * std::fabs(gradient) + rounding(c.dtype, gradient) + slack,
            "focal, targets %d, dtype %d, gamma %g, gradient %d of %d: %.9g, wants %.9g", int(c.targets), int(c.dtype),
            c.gamma, int(i), int(n), grad[i], gradient);
      sum += losses[i];
    }
    check(std::fabs(kernels.logits.losses(a, nullptr, r.begin, r.end) - sum) <= 1e-12 * std::fabs(sum),
          "focal: the sum is not that of the losses");
    check(losses.is_untouched(0, r.begin) && losses.is_untouched(r.end, n + margin) && grad.is_untouched(0, r.begin) &&
              grad.is_untouched(r.end, n + margin),
          "focal wrote outside [%d, %d) of %d", int(r.begin), int(r.end), int(n));
  }
}

void test_logits(const CpuKernels& kernels) {
  int k = 0;
  for (Targets targets : {Targets::hard, Targets::soft, Targets::class_index})
    for (Dtype dtype : dtypes)
      for (double gamma : {0., 1.5, 2.})
        for (bool alpha_per_class : {false, true})
          for (int64_t n : {0, 1, 31, 33, 255, 256, 257, 1023, 1024, 1025, 2100}) {
            ++k;
            const int64_t classes = k % 4 == 0 ? 1 : k % 4 == 1 ? 3 : k % 4 == 2 ? 80 : 1100;
            test_logits(kernels, {targets, dtype, gamma, Factors::Kind(k / 2 % 2 * 2), Factors::Kind(1 + k % 2),
                                  k / 4 % 2 == 0, alpha_per_class, (n + classes - 1) / classes, classes});
          }
}

}  // namespace

void test_kernels(const CpuKernels& kernels) {
  test_boxes(kernels);
  test_logits(kernels);
}

}  // namespace iouloss
