// The operators iouloss::row_loss*.
#include "../core/row_arguments.h"
#include "loss_operator.h"
#include "losses.h"

namespace iouloss {
namespace {

// The stride that some dimensions have when they are collapsed into one; none if that is not possible.
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

// Describes the rows of a tensor. A tensor for which the three strides of ClassRows are not enough is copied first.
// `owner` holds the memory.
ClassRows rows_of(const Tensor& tensor, int64_t dim, Tensor& owner) {
  owner = strided_rows(tensor, dim) ? tensor : tensor.contiguous();
  return *strided_rows(owner, dim);
}

struct RowCall : LossCall<RowArguments, 0> {
  using Inputs = RowInputs;
  static constexpr auto name = "row_loss";
  static constexpr bool symmetric = false;
  static constexpr auto saved = Saved::gradient;

  explicit RowCall(const RowInputs& in) {
    const auto& row = row_of<RowTable>(in.formula);
    a.formula = row.formula;
    reduction = parse_reduction(in.reduction);
    a.options = checked_options(row, in);
    check_floating("logits", in.logits);
    check_dtype_of_targets(in);
    check_device("targets", in.targets, "logits", in.logits);
    check_shapes(in);
    check_avg_factor(in, "logits");
    a.float64 = computes_in_float64(in.logits, in.targets ? *in.targets : *in.logits);
    a.ignore_index = in.ignore_index.value_or(no_class);
  }

  static const char* public_name(const RowInputs& in, const char* name) {
    return name == std::string_view("class_weight") && in.formula == "softmax_focal" ? "alpha" : name;
  }

  c10::SymDimVector loss_shape(const RowInputs& in) const { return reduced_or(without(in.logits->sym_sizes(), dim)); }

  void load(const RowInputs& in) {
    a.classes = in.logits->size(dim);
    a.n = in.logits->numel() / a.classes;
    a.inner = 1;
    for (int64_t i = dim + 1; i < in.logits->dim(); ++i) a.inner *= in.logits->size(i);
    chunk = std::max<int64_t>(16, 32768 / a.classes / 16 * 16);
    if (a.n > 0) a.logits = rows_of(in.logits, dim, logits);
    if (a.formula == RowFormula::kl_div && a.n > 0)
      a.targets = rows_of(*in.targets, dim, targets);
    else if (in.targets)
      targets = in.targets->contiguous();
    if (is_by_class(a.formula)) a.class_index = indices_of(targets);
    if (a.formula == RowFormula::distribution_focal) a.places = values_of(targets);
    if (in.weight) a.weight = values_of(weight = in.weight->contiguous());
    if (in.class_weight) a.class_weight = values_of(class_weight = in.class_weight->contiguous());
    divisor = Divisor(in, reduction, a.n, a.float64);
  }

 private:
  int64_t dim = 0;  // the class dimension, not negative
  Tensor logits, targets, weight, class_weight;

  void check_dtype_of_targets(const RowInputs& in) const {
    if (a.formula == RowFormula::entropy) return;
    TORCH_CHECK_TYPE(in.targets, "targets: got NoneType, wants a torch.Tensor");
    if (!is_by_class(a.formula)) check_floating("targets", *in.targets);
  }

  void check_shapes(const RowInputs& in) {
    const auto shape = in.logits->sym_sizes();
    TORCH_CHECK_VALUE(!shape.empty(), "logits: got shape [], wants [..., C]");
    dim = checked_class_dim(in.class_dim, in.logits);
    TORCH_CHECK_VALUE(shape[dim] > 0, "logits: got shape ", shape, ", wants at least one class");
    if (a.formula == RowFormula::distribution_focal) check_classes(shape[dim]);
    const auto rows = without(shape, dim);
    if (is_by_class(a.formula)) {
      const bool dense = check_targets(*in.targets, in.logits, dim);
      TORCH_CHECK_VALUE(!dense, "targets: got the logits' shape ", shape, ", wants class indices");
    } else {
      check_shape("targets", in.targets, a.formula == RowFormula::kl_div ? shape : rows);
    }
    check_beside("weight", in.weight, rows, "logits", in.logits);
    check_beside(public_name(in, "class_weight"), in.class_weight, {shape[dim]}, "logits", in.logits);
  }
};

}  // namespace

Tensor row_loss(const RowInputs& in) { return LossOperator<RowCall>::call(in); }

TORCH_LIBRARY_FRAGMENT(iouloss, m) { LossOperator<RowCall>::define(m); }

}  // namespace iouloss
