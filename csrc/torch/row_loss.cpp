// The operators iouloss::row_loss*.
#include "row_loss.h"

#include "loss_operator.h"

namespace iouloss {
namespace {

using at::Tensor;
using OptionalTensor = std::optional<Tensor>;

RowFormula parse_row_formula(std::string_view formula) {
  if (formula == "softmax_focal" || formula == "cross_entropy") return RowFormula::classes;
  if (formula == "distribution_focal") return RowFormula::distribution;
  if (formula == "kl_div") return RowFormula::kl_div;
  TORCH_CHECK_VALUE(formula == "entropy", "formula: got '", formula,
                    "', wants one of 'softmax_focal', 'cross_entropy', 'distribution_focal', 'kl_div', 'entropy'");
  return RowFormula::entropy;
}

// The one stride of some dimensions, if they have it.
std::optional<int64_t> common_stride(c10::IntArrayRef sizes, c10::IntArrayRef strides) {
  std::optional<int64_t> stride;
  int64_t next = 0;
  for (size_t i = sizes.size(); i-- > 0;) {
    if (sizes[i] == 1) continue;
    if (!stride)
      stride = strides[i];  // which may be 0: the dimension is expanded
    else if (strides[i] != next)
      return std::nullopt;
    next = strides[i] * sizes[i];
  }
  return stride.value_or(0);
}

std::optional<ClassRows> strided_rows(const Tensor& tensor, int64_t dim) {
  const auto sizes = tensor.sizes(), strides = tensor.strides();
  const auto outer = common_stride(sizes.slice(0, dim), strides.slice(0, dim));
  const auto inner = common_stride(sizes.slice(dim + 1), strides.slice(dim + 1));
  if (!outer || !inner) return std::nullopt;
  return ClassRows{tensor.const_data_ptr(), dtype_of(tensor), *outer, *inner, strides[dim]};
}

// Where the rows of a tensor are; a copy, which `kept` keeps, where its strides are beyond that.
ClassRows rows_of(const Tensor& tensor, int64_t dim, Tensor& kept) {
  kept = strided_rows(tensor, dim) ? tensor : tensor.contiguous();
  return *strided_rows(kept, dim);
}

struct RowCall : LossCall<RowArguments, 0> {
  using Loss = decltype(row_loss);
  static constexpr auto name = "row_loss";
  static constexpr auto arguments =
      "Tensor logits, Tensor? targets, Tensor? weight, Tensor? avg_factor, float? divisor, Tensor? class_weight, "
      "str formula, float alpha, float gamma, float label_smoothing, float poly_epsilon, float temperature, "
      "int? ignore_index, int class_dim, str reduction";
  static constexpr bool symmetric = false;
  static constexpr auto left = Left::gradient;

  RowCall(const Tensor& logits, const OptionalTensor& targets, const OptionalTensor& weight,
          const OptionalTensor& avg_factor, std::optional<double> by, const OptionalTensor& class_weight,
          std::string_view formula, double alpha, double gamma, double smoothing, double poly, double temperature,
          std::optional<int64_t> ignore_index, int64_t class_dim, std::string_view reduction_name) {
    a.formula = parse_row_formula(formula);
    weights_name = formula == "softmax_focal" ? "alpha" : "class_weight";
    reduction = parse_reduction(reduction_name);
    check_non_negative("alpha", alpha);
    check_non_negative("gamma", gamma);
    check_fraction("label_smoothing", smoothing);
    check_finite("poly_epsilon", poly);
    check_positive("temperature", temperature);
    check_floating("logits", logits);
    check_dtype(targets);
    if (weight) check_floating("weight", *weight);
    if (class_weight) check_floating(weights_name, *class_weight);
    check_device("targets", targets, "logits", logits);
    check_shapes(logits, targets, weight, class_weight, class_dim);
    check_device("weight", weight, "logits", logits);
    check_device(weights_name, class_weight, "logits", logits);
    check_device("avg_factor", avg_factor, "logits", logits);
    check_avg_factor(avg_factor, by, reduction_name);
    a.float64 = computes_in_float64(logits, targets.value_or(logits));
    a.ignore_index = ignore_index.value_or(no_class);
    a.alpha = alpha;
    a.gamma = gamma;
    a.smoothing = a.formula == RowFormula::classes ? smoothing : 0;
    a.poly = poly;
    a.temperature = temperature;
  }

  static void check_constants(const Tensor&, const OptionalTensor& targets, const OptionalTensor& weight,
                              const OptionalTensor& avg_factor, std::optional<double>,
                              const OptionalTensor& class_weight, std::string_view formula, const auto&...) {
    check_constant("targets", targets);
    check_constant("weight", weight);
    check_constant("avg_factor", avg_factor);
    check_constant(formula == "softmax_focal" ? "alpha" : "class_weight", class_weight);
  }

  c10::SymDimVector loss_shape(const Tensor& logits, const auto&...) const {
    return reduced_or(without(logits.sym_sizes(), dim));
  }

  void load(const Tensor& logits_, const OptionalTensor& targets_, const OptionalTensor& weight_,
            const OptionalTensor& avg_factor, std::optional<double> by, const OptionalTensor& class_weight_,
            const auto&...) {
    a.classes = logits_.size(dim);
    a.n = logits_.numel() / a.classes;
    a.inner = 1;
    for (int64_t i = dim + 1; i < logits_.dim(); ++i) a.inner *= logits_.size(i);
    chunk = std::max<int64_t>(16, 32768 / a.classes / 16 * 16);
    if (a.n > 0) a.logits = rows_of(logits_, dim, logits);
    if (a.formula == RowFormula::kl_div && a.n > 0)
      a.targets = rows_of(*targets_, dim, targets);
    else if (targets_)
      targets = targets_->contiguous();
    if (a.formula == RowFormula::classes) a.class_index = indices_of(targets);
    if (a.formula == RowFormula::distribution) a.places = values_of(targets);
    if (weight_) a.weight = values_of(weight = weight_->contiguous());
    if (class_weight_) a.class_weight = values_of(class_weight = class_weight_->contiguous());
    divisor = Divisor(avg_factor, by, reduction, a.n, a.float64);
  }

 private:
  const char* weights_name;
  int64_t dim = 0;  // of the classes, from 0 on
  Tensor logits, targets, weight, class_weight;

  void check_dtype(const OptionalTensor& targets) const {
    if (a.formula == RowFormula::entropy) return;
    TORCH_CHECK_TYPE(targets, "targets: got NoneType, wants a torch.Tensor");
    if (a.formula != RowFormula::classes) check_floating("targets", *targets);
  }

  void check_shapes(const Tensor& logits, const OptionalTensor& targets, const OptionalTensor& weight,
                    const OptionalTensor& class_weight, int64_t class_dim) {
    const int64_t dims = logits.dim();
    TORCH_CHECK_VALUE(dims > 0, "logits: got shape [], wants [..., C]");
    TORCH_CHECK_VALUE(class_dim >= -dims && class_dim < dims, "class_dim: got ", class_dim,
                      ", wants a dimension of the logits, ", -dims, " to ", dims - 1);
    dim = class_dim < 0 ? class_dim + dims : class_dim;
    TORCH_CHECK_VALUE(logits.sym_size(dim) > 0, "logits: got shape ", logits.sym_sizes(), ", wants at least one class");
    if (a.formula == RowFormula::distribution) check_classes(logits.sym_size(dim));
    const auto rows = without(logits.sym_sizes(), dim);
    if (a.formula == RowFormula::classes) {
      const bool dense = check_targets(*targets, logits, dim);
      TORCH_CHECK_VALUE(!dense, "targets: got the logits' shape ", logits.sym_sizes(), ", wants class indices");
    } else {
      check_shape("targets", targets, a.formula == RowFormula::kl_div ? logits.sym_sizes() : rows);
    }
    check_shape("weight", weight, rows);
    TORCH_CHECK_VALUE(!class_weight || (class_weight->dim() == 1 && class_weight->sym_size(0) == logits.sym_size(dim)),
                      weights_name, ": got shape ", class_weight->sym_sizes(), ", wants [", logits.sym_size(dim), "]");
  }
};

}  // namespace

Tensor row_loss(const Tensor& logits, const OptionalTensor& targets, const OptionalTensor& weight,
                const OptionalTensor& avg_factor, std::optional<double> divisor, const OptionalTensor& class_weight,
                std::string_view formula, double alpha, double gamma, double label_smoothing, double poly_epsilon,
                double temperature, std::optional<int64_t> ignore_index, int64_t class_dim,
                std::string_view reduction) {
  return LossOperator<RowCall>::call(logits, targets, weight, avg_factor, divisor, class_weight, formula, alpha, gamma,
                                     label_smoothing, poly_epsilon, temperature, ignore_index, class_dim, reduction);
}

TORCH_LIBRARY_FRAGMENT(iouloss, m) { LossOperator<RowCall>::define(m); }

}  // namespace iouloss
