#include "checks.h"

#include <c10/core/ScalarType.h>

#include <charconv>
#include <cmath>

namespace iouloss {

std::string repr(double value) {
  char buffer[32];
  std::string text(buffer, std::to_chars(buffer, buffer + sizeof(buffer), value).ptr);
  return text.find_first_of(".en") == std::string::npos ? text + ".0" : text;
}

std::string dtype_name(const at::Tensor& tensor) {
  return "torch." + std::string(c10::getDtypeNames(tensor.scalar_type()).first);
}

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

static int place_of(std::string_view formula, const char* const* names, int count) {
  std::string all;
  for (int i = 0; i < count; ++i) {
    if (formula == names[i]) return i;
    all += std::string(i ? ", '" : "'") + names[i] + "'";
  }
  TORCH_CHECK_VALUE(false, "formula: got '", formula, "', wants one of ", all);
}

BoxFormula parse_box_formula(std::string_view formula) {
  return BoxFormula(place_of(formula, box_formula_names, box_formula_count));
}

LogitFormula parse_logit_formula(std::string_view formula) {
  return LogitFormula(place_of(formula, logit_formula_names, logit_formula_count));
}

void check_finite(const char* name, double value) {
  TORCH_CHECK_VALUE(std::isfinite(value), name, ": got ", repr(value), ", wants a finite number");
}

void check_non_negative(const char* name, double value) {
  TORCH_CHECK_VALUE(std::isfinite(value) && value >= 0, name, ": got ", repr(value), ", wants a finite number >= 0");
}

void check_positive(const char* name, double value) {
  TORCH_CHECK_VALUE(std::isfinite(value) && value > 0, name, ": got ", repr(value), ", wants a finite number > 0");
}

bool is_supported(const at::Tensor& tensor) {
  const auto type = tensor.scalar_type();
  return type == at::kFloat || type == at::kDouble || type == at::kHalf || type == at::kBFloat16;
}

void check_floating(const char* name, const at::Tensor& tensor) {
  TORCH_CHECK_TYPE(is_supported(tensor), name, ": got dtype ", dtype_name(tensor),
                   ", wants float64, float32, float16 or bfloat16");
}

void check_constant(const char* name, const std::optional<at::Tensor>& tensor) {
  TORCH_CHECK_VALUE(!tensor || !tensor->requires_grad(), name, ": got a tensor that requires grad, wants a constant");
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

void check_avg_factor(const std::optional<at::Tensor>& avg_factor, std::optional<double> divisor,
                      std::string_view reduction) {
  if (!avg_factor && !divisor) return;
  TORCH_CHECK_VALUE(reduction == "mean", "avg_factor: got reduction '", reduction, "', wants 'mean'");
  if (!avg_factor) return;
  TORCH_CHECK_VALUE(avg_factor->sym_numel() == 1, "avg_factor: got shape ", avg_factor->sym_sizes(),
                    ", wants a tensor of one element");
  TORCH_CHECK_TYPE(avg_factor->scalar_type() != at::kBool && !avg_factor->is_complex(), "avg_factor: got dtype ",
                   dtype_name(*avg_factor), ", wants an integer or floating dtype");
}

}  // namespace iouloss
