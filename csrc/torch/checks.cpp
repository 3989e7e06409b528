#include "checks.h"

#include <c10/core/ScalarType.h>

#include <charconv>
#include <cmath>
#include <limits>

namespace iouloss {

std::string repr(double value) {
  char buffer[32];
  std::string text(buffer, std::to_chars(buffer, buffer + sizeof(buffer), value).ptr);
  return text.find_first_of(".en") == std::string::npos ? text + ".0" : text;
}

std::string dtype_name(at::ScalarType type) { return "torch." + std::string(c10::getDtypeNames(type).first); }

Reduction parse_reduction(std::string_view reduction) {
  if (reduction == "mean") return Reduction::mean;
  if (reduction == "sum") return Reduction::sum;
  TORCH_CHECK_VALUE(reduction == "none", "reduction: got '", reduction, "', wants 'mean', 'sum' or 'none'");
  return Reduction::none;
}

BoxFormat parse_format(std::string_view format) {
  if (format == "xyxy") return BoxFormat::xyxy;
  if (format == "xywh") return BoxFormat::xywh;
  TORCH_CHECK_VALUE(format == "cxcywh", "fmt: got '", format, "', wants 'xyxy', 'xywh' or 'cxcywh'");
  return BoxFormat::cxcywh;
}

static bool is_finite(double value) { return std::abs(value) <= std::numeric_limits<float>::max(); }

void check_range(const char* name, Range range, double value) {
  const char* wants = "a finite number";
  bool is_allowed = is_finite(value), in_float64 = std::isfinite(value);
  if (range == Range::fraction) {
    wants = "a number in [0, 1]";
    is_allowed = value >= 0 && value <= 1;
    in_float64 = false;
  } else if (range == Range::not_negative) {
    wants = "a finite number >= 0";
    is_allowed &= value >= 0;
    in_float64 &= value >= 0;
  } else if (range == Range::positive) {
    wants = "a finite number > 0";
    is_allowed &= value >= std::numeric_limits<float>::min();
    in_float64 &= value > 0;
  }
  TORCH_CHECK_VALUE(is_allowed, name, ": got ", repr(value), ", wants ", wants,
                    in_float64 ? " in float32's range" : "");
}

bool is_supported(const at::Tensor& tensor) {
  const auto type = tensor.scalar_type();
  return type == at::kFloat || type == at::kDouble || type == at::kHalf || type == at::kBFloat16;
}

bool is_integral(const at::Tensor& tensor) {
  const auto type = tensor.scalar_type();
  return type == at::kLong || type == at::kInt || type == at::kShort || type == at::kChar || type == at::kByte ||
         type == at::kBool;
}

static void check_given(const char* name, const at::Tensor& tensor) {
  TORCH_CHECK_TYPE(tensor.defined(), name, ": got NoneType, wants a torch.Tensor");
}

void check_floating(const char* name, const at::Tensor& tensor) {
  check_given(name, tensor);
  TORCH_CHECK_TYPE(is_supported(tensor), name, ": got dtype ", dtype_name(tensor),
                   ", wants float64, float32, float16 or bfloat16");
}

void check_device(const char* name, const std::optional<at::Tensor>& tensor, const char* owner,
                  const at::Tensor& wanted) {
  TORCH_CHECK_VALUE(!tensor || tensor->device() == wanted.device(), name, ": got device ", tensor->device().str(),
                    ", wants ", owner, "'s device ", wanted.device().str());
}

void check_shape(const char* name, const std::optional<at::Tensor>& tensor, c10::SymIntArrayRef wanted) {
  TORCH_CHECK_VALUE(!tensor || tensor->sym_sizes() == wanted, name, ": got shape ", tensor->sym_sizes(), ", wants ",
                    wanted);
}

void check_beside(const char* name, const std::optional<at::Tensor>& tensor, c10::SymIntArrayRef shape,
                  const char* owner, const at::Tensor& prediction) {
  if (!tensor) return;
  check_floating(name, *tensor);
  check_shape(name, tensor, shape);
  check_device(name, tensor, owner, prediction);
}

void check_partner(const char* name, const at::Tensor& tensor, const char* owner, const at::Tensor& first) {
  check_floating(name, tensor);
  TORCH_CHECK_VALUE(tensor.sym_sizes() == first.sym_sizes(), name, ": got shape ", tensor.sym_sizes(), ", wants ",
                    owner, "'s shape ", first.sym_sizes());
  check_device(name, tensor, owner, first);
}

c10::SymDimVector without(c10::SymIntArrayRef sizes, int64_t dim) {
  c10::SymDimVector shape(sizes);
  shape.erase(shape.begin() + dim);
  return shape;
}

bool check_targets(const at::Tensor& targets, const at::Tensor& logits, int64_t class_dim) {
  check_given("targets", targets);
  TORCH_CHECK_TYPE(is_supported(targets) || is_integral(targets), "targets: got dtype ", dtype_name(targets),
                   ", wants a floating or an integer dtype");
  const auto shape = logits.sym_sizes();
  const bool dense = targets.dim() == logits.dim() && targets.sym_sizes() == shape;
  if (!dense) {
    TORCH_CHECK_VALUE(!shape.empty(), "targets: got shape ", targets.sym_sizes(), ", wants [] (dense)");
    const auto rows = without(shape, class_dim);
    const bool are_indices = targets.dim() + 1 == logits.dim() && targets.sym_sizes() == c10::SymIntArrayRef(rows);
    TORCH_CHECK_VALUE(are_indices, "targets: got shape ", targets.sym_sizes(), ", wants ", shape, " (dense) or ",
                      c10::SymIntArrayRef(rows), " (class indices, where 0 is ",
                      shape[class_dim] == 1 ? "the one class: target 1)" : "the first class)");
    TORCH_CHECK_TYPE(is_integral(targets), "targets: got dtype ", dtype_name(targets), " and shape ",
                     targets.sym_sizes(), ", wants an integer dtype (class indices), or the logits' shape ", shape);
  }
  check_device("targets", targets, "logits", logits);
  return dense;
}

int64_t checked_class_dim(int64_t class_dim, const at::Tensor& logits) {
  const int64_t dims = logits.dim();
  TORCH_CHECK_VALUE(class_dim >= -dims && class_dim < dims, "class_dim: got ", class_dim,
                    ", wants a dimension of the logits, ", -dims, " to ", dims - 1);
  return class_dim < 0 ? class_dim + dims : class_dim;
}

void check_classes(const c10::SymInt& classes) {
  TORCH_CHECK_VALUE(classes <= (1 << 24), "logits: got ", classes, " classes, wants at most ", 1 << 24);
}

static std::string kind_of(const at::Tensor& tensor) {
  if (tensor.is_nested()) return "nested tensor";
  if (tensor.is_quantized()) return "quantised tensor (" + dtype_name(tensor) + ")";
  return tensor.layout() == at::kMkldnn ? "mkldnn tensor (torch._mkldnn)" : "sparse tensor";
}

void refuse_layout(const c10::OperatorHandle& op, c10::DispatchKeySet, torch::jit::Stack* stack) {
  const auto& arguments = op.schema().arguments();
  for (size_t i = 0; i < arguments.size(); ++i) {
    const c10::IValue& value = torch::jit::peek(*stack, i, arguments.size());
    if (!value.isTensor() || !value.toTensor().defined()) continue;
    const at::Tensor& tensor = value.toTensor();
    const bool plain = !tensor.is_nested() && !tensor.is_quantized() && tensor.layout() == at::kStrided;
    TORCH_CHECK_TYPE(plain, arguments[i].name(), ": got a ", kind_of(tensor), ", wants a dense (strided) one");
  }
  TORCH_CHECK_NOT_IMPLEMENTED(false, op.schema().name(), " has no kernel for these tensors");
}

void check_avg_factor(const std::optional<at::Tensor>& avg_factor, std::optional<double> divisor,
                      std::string_view reduction) {
  if (!avg_factor && !divisor) return;
  TORCH_CHECK_VALUE(reduction == "mean", "avg_factor: got reduction '", reduction, "', wants 'mean'");
  if (divisor && *divisor != 0) {
    const double size = std::abs(*divisor);
    TORCH_CHECK_VALUE(is_finite(size) && size >= std::numeric_limits<float>::min(), "avg_factor: got ", repr(*divisor),
                      ", wants 0 or a finite number in float32's range");
  }
  if (!avg_factor) return;
  TORCH_CHECK_VALUE(avg_factor->sym_numel() == 1, "avg_factor: got shape ", avg_factor->sym_sizes(),
                    ", wants a tensor of one element");
  TORCH_CHECK_TYPE(avg_factor->scalar_type() != at::kBool && !avg_factor->is_complex(), "avg_factor: got dtype ",
                   dtype_name(*avg_factor), ", wants an integer or floating dtype");
}

}  // namespace iouloss
