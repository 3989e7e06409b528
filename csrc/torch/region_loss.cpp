// The operators iouloss::region_loss*: Dice, generalized Dice and Tversky.
#include "region_loss.h"

#include <ATen/Parallel.h>

#include "../cpu/region_parts.h"
#include "../cpu/region_values.h"
#include "loss_operator.h"
#ifdef IOULOSS_CUDA
#include "cuda_launch.h"
#endif

namespace iouloss {
namespace {

using at::Tensor;
using OptionalTensor = std::optional<Tensor>;

Activation parse_activation(std::string_view activation) {
  if (activation == "sigmoid") return Activation::sigmoid;
  if (activation == "softmax") return Activation::softmax;
  TORCH_CHECK_VALUE(activation == "none", "activation: got '", activation, "', wants 'sigmoid', 'softmax' or None");
  return Activation::none;
}

RegionPer parse_per(std::string_view per, bool generalized) {
  if (per == "image") return RegionPer::image;
  if (per == "batch") return RegionPer::batch;
  TORCH_CHECK_VALUE(!generalized, "per: got '", per, "', wants 'image' or 'batch'");
  if (per == "class") return RegionPer::one_class;
  TORCH_CHECK_VALUE(per == "image_class", "per: got '", per, "', wants 'image_class', 'class', 'image' or 'batch'");
  return RegionPer::image_class;
}

// Calls part(begin, end) for stretches of all parts, on all threads.
void for_all_parts(const RegionArguments& a, const std::function<void(int64_t, int64_t)>& part) {
  const int64_t logits = std::min(pixels_of_part(a), a.pixels) * a.classes;
  at::parallel_for(0, parts_of(a), 1 + logits_of_part / 2 / std::max<int64_t>(logits, 1), part);
}

std::vector<RegionSums> cell_sums_on_cpu(const RegionArguments& a) {
  const int64_t parts = parts_of_image(a);
  std::vector<RegionSums> each(parts_of(a) * a.classes);
  for_all_parts(a, [&](int64_t begin, int64_t end) { cpu_kernels().regions.sums(a, each.data(), begin, end); });
  if (parts == 1) return each;
  std::vector<RegionSums> sums(a.cells());
  for (int64_t part = 0; part < parts_of(a); ++part)
    for (int64_t c = 0; c < a.classes; ++c) add(sums[part / parts * a.classes + c], each[part * a.classes + c]);
  return sums;
}

struct RegionCall {
  using Loss = decltype(region_loss);
  static constexpr auto name = "region_loss";
  static constexpr auto arguments =
      "Tensor logits, Tensor targets, Tensor? weight, Tensor? class_weight, Tensor? avg_factor, float? divisor, str "
      "kind, "
      "str activation, str per, int power, float alpha, float beta, float gamma, float smooth_numerator, "
      "float smooth_denominator, int? ignore_index, str reduction";
  static constexpr bool symmetric = false;
  static constexpr auto left = Left::slopes;

  RegionArguments a{};
  Reduction reduction{};

  RegionCall(const Tensor& logits, const Tensor& targets, const OptionalTensor& weight,
             const OptionalTensor& class_weight, const OptionalTensor& avg_factor, std::optional<double> by,
             std::string_view kind, std::string_view activation, std::string_view per, int64_t power, double alpha,
             double beta, double gamma, double smooth_numerator, double smooth_denominator,
             std::optional<int64_t> ignore_index, std::string_view reduction_name) {
    reduction = parse_reduction(reduction_name);
    const bool tversky = kind == "tversky", dice = kind == "dice";
    a.generalized = kind == "generalized_dice";
    TORCH_CHECK_VALUE(tversky || a.generalized || dice, "kind: got '", kind,
                      "', wants 'dice', 'generalized_dice' or 'tversky'");
    a.activation = parse_activation(activation);
    a.per = parse_per(per, a.generalized);
    TORCH_CHECK_VALUE(power == 1 || power == 2, "power: got ", power, ", wants 1 or 2");
    check_non_negative("alpha", alpha);
    check_non_negative("beta", beta);
    check_positive("gamma", gamma);
    check_non_negative("smooth_numerator", smooth_numerator);
    check_non_negative("smooth_denominator", smooth_denominator);
    check_floating("logits", logits);
    if (weight) check_floating("weight", *weight);
    if (class_weight) check_floating("class_weight", *class_weight);
    TORCH_CHECK_VALUE(logits.dim() >= 2, "logits: got shape ", logits.sym_sizes(), ", wants [N, C, ...]");
    const auto& classes = logits.sym_size(1);
    check_classes(classes);
    const bool dense = check_targets(targets, logits, 1);
    TORCH_CHECK_VALUE(!dense || !ignore_index, "ignore_index: got ", ignore_index.value_or(0),
                      " with dense targets, wants class indices");
    check_shape("class_weight", class_weight, {classes});
    check_shape("weight", weight, each(logits));
    check_device("weight", weight, "logits", logits);
    check_device("class_weight", class_weight, "logits", logits);
    check_device("avg_factor", avg_factor, "logits", logits);
    check_avg_factor(avg_factor, by, reduction_name);
    a.float64 = computes_in_float64(logits, targets);
    a.ignore_index = ignore_index.value_or(no_class);
    // Dice is Tversky's with one half for both errors, and with half the smoothing. Their squares are one sum.
    a.squares = dice && power == 2;
    a.alpha = tversky ? alpha : 0.5;
    a.beta = tversky ? beta : a.squares ? 0 : 0.5;
    a.smooth_numerator = tversky ? smooth_numerator : smooth_numerator / 2;
    a.smooth_denominator = tversky ? smooth_denominator : smooth_denominator / 2;
    a.exponent = 1 / gamma;
  }

  static void check_constants(const Tensor&, const Tensor& targets, const OptionalTensor& weight,
                              const OptionalTensor& class_weight, const OptionalTensor& avg_factor, const auto&...) {
    check_constant("targets", targets);
    check_constant("weight", weight);
    check_constant("class_weight", class_weight);
    check_constant("avg_factor", avg_factor);
  }

  // The shape of the values that are not reduced.
  c10::SymIntArrayRef each(const Tensor& logits) const {
    const auto shape = logits.sym_sizes();
    if (a.per == RegionPer::image_class) return shape.slice(0, 2);
    if (a.per == RegionPer::one_class) return shape.slice(1, 1);
    if (a.per == RegionPer::image) return shape.slice(0, 1);
    return {};
  }

  at::ScalarType loss_dtype() const { return a.float64 ? at::kDouble : at::kFloat; }

  c10::SymDimVector loss_shape(const Tensor& logits, const auto&...) const {
    return c10::SymDimVector(reduction == Reduction::none ? each(logits) : c10::SymIntArrayRef());
  }

  // The tensors as the kernels take them: contiguous.
  void load(const Tensor& logits_, const Tensor& targets_, const OptionalTensor& weight_,
            const OptionalTensor& class_weight_, const OptionalTensor& avg_factor, std::optional<double> by,
            const auto&...) {
    logits = logits_.contiguous();
    targets = targets_.contiguous();
    a.images = logits.size(0);
    a.classes = logits.size(1);
    a.pixels = 1;
    for (int64_t i = 2; i < logits.dim(); ++i) a.pixels *= logits.size(i);
    a.logits = values_of(logits);
    if (targets.dim() < logits.dim())
      a.class_index = indices_of(targets);
    else
      a.targets = values_of(targets);
    if (weight_) a.weight = values_of(weight = weight_->contiguous());
    if (class_weight_) a.class_weight = values_of(class_weight = class_weight_->contiguous());
    divisor = Divisor(avg_factor, by, reduction, a.regions(), a.float64);
  }

  // Two of each class of each image: see core/region_formulas.h.
  Tensor new_slopes(const Tensor& logits, const auto&...) const {
    const auto shape = logits.sym_sizes();
    return at::empty_symint({shape[0], shape[1], 2}, logits.options().dtype(loss_dtype()));
  }

  void check_slopes(const Tensor& slopes, const Tensor& logits, const auto&...) const {
    const auto shape = logits.sym_sizes();
    check_shape("slopes", slopes, {shape[0], shape[1], 2});
    TORCH_CHECK_TYPE(slopes.scalar_type() == loss_dtype(), "slopes: got dtype ", dtype_name(slopes),
                     ", wants the loss's dtype ", dtype_name(loss_dtype()));
    check_device("slopes", slopes, "logits", logits);
  }

  // Each loss, or the reduced one; and the slopes where they are wanted.
  void write_losses(Tensor& losses, Tensor* slopes = nullptr) const {
    void* const to = slopes ? slopes->mutable_data_ptr() : nullptr;
#ifdef IOULOSS_CUDA
    if (losses.is_cuda()) return launch_region_loss(a, reduction, divisor, losses, to);
#endif
    const bool each = reduction == Reduction::none;
    const double sum = write_region_values(a, cell_sums_on_cpu(a), each ? losses.mutable_data_ptr() : nullptr, to,
                                           divisor.scale_on_cpu());
    if (!each) divisor.write_on_cpu(sum, losses);
  }

  // The gradient by the logits.
  void write_gradient(Tensor& grad, const Upstream& upstream, const Tensor& slopes) const {
    const Tensor of_cells = slopes.contiguous();
#ifdef IOULOSS_CUDA
    if (grad.is_cuda()) return launch_region_gradient(a, upstream, of_cells.data_ptr(), grad);
#endif
    const Tensor scaled = at::empty_like(of_cells);
    scale_slopes(a, upstream.values, of_cells.const_data_ptr(), scaled.mutable_data_ptr());
    const Output out{grad.mutable_data_ptr(), dtype_of(grad)};
    for_all_parts(a, [&](int64_t begin, int64_t end) {
      cpu_kernels().regions.gradient(a, scaled.const_data_ptr(), out, begin, end);
    });
  }

 private:
  Tensor logits, targets, weight, class_weight;
  Divisor divisor;
};

}  // namespace

Tensor region_loss(const Tensor& logits, const Tensor& targets, const OptionalTensor& weight,
                   const OptionalTensor& class_weight, const OptionalTensor& avg_factor, std::optional<double> divisor,
                   std::string_view kind, std::string_view activation, std::string_view per, int64_t power,
                   double alpha, double beta, double gamma, double smooth_numerator, double smooth_denominator,
                   std::optional<int64_t> ignore_index, std::string_view reduction) {
  return LossOperator<RegionCall>::call(logits, targets, weight, class_weight, avg_factor, divisor, kind, activation,
                                        per, power, alpha, beta, gamma, smooth_numerator, smooth_denominator,
                                        ignore_index, reduction);
}

TORCH_LIBRARY_FRAGMENT(iouloss, m) { LossOperator<RegionCall>::define(m); }

}  // namespace iouloss
