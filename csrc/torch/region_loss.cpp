// The operators iouloss::region_loss*: Dice, generalized Dice and Tversky.
#include <ATen/Parallel.h>

#include "../cpu/region_parts.h"
#include "../cpu/region_values.h"
#include "loss_operator.h"
#include "losses.h"

namespace iouloss {
namespace {

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

struct RegionCall : LossCall<RegionArguments, 0> {
  using Inputs = RegionInputs;
  static constexpr auto name = "region_loss";
  static constexpr bool symmetric = false;
  static constexpr auto saved = Saved::slopes;

  explicit RegionCall(const RegionInputs& in) {
    const auto& row = row_of<RegionTable>(in.formula);
    reduction = parse_reduction(in.reduction);
    a.generalized = row.formula == RegionFormula::generalized_dice;
    a.activation = parse_activation(in.activation);
    a.per = parse_per(in.per, a.generalized);
    TORCH_CHECK_VALUE(in.power == 1 || in.power == 2, "power: got ", in.power, ", wants 1 or 2");
    a.options = checked_options(row, in);
    a.exponent = 1 / in.gamma;
    check_tensors(in);
    a.float64 = computes_in_float64(in.logits, in.targets);
    a.ignore_index = in.ignore_index.value_or(no_class);
    a.squares = row.formula == RegionFormula::dice && in.power == 2;
    if (row.formula == RegionFormula::tversky) return;
    // The Dice loss is the Tversky loss with alpha = beta = 1/2 and half the smoothing. With squares, one sum has both
    // errors (see SquareTerms), so beta is 0.
    a.options.alpha = 0.5;
    a.options.beta = a.squares ? 0 : 0.5;
    a.options.smooth_numerator /= 2;
    a.options.smooth_denominator /= 2;
  }

  // The shape of the losses if they are not reduced.
  c10::SymIntArrayRef each(const RegionInputs& in) const {
    const auto shape = in.logits->sym_sizes();
    if (a.per == RegionPer::image_class) return shape.slice(0, 2);
    if (a.per == RegionPer::one_class) return shape.slice(1, 1);
    if (a.per == RegionPer::image) return shape.slice(0, 1);
    return {};
  }

  c10::SymDimVector loss_shape(const RegionInputs& in) const { return reduced_or(each(in)); }

  // The tensors as the kernels take them: contiguous.
  void load(const RegionInputs& in) {
    logits = in.logits->contiguous();
    targets = in.targets->contiguous();
    a.images = logits.size(0);
    a.classes = logits.size(1);
    a.pixels = 1;
    for (int64_t i = 2; i < logits.dim(); ++i) a.pixels *= logits.size(i);
    a.logits = values_of(logits);
    if (targets.dim() < logits.dim())
      a.class_index = indices_of(targets);
    else
      a.targets = values_of(targets);
    if (in.weight) a.weight = values_of(weight = in.weight->contiguous());
    if (in.class_weight) a.class_weight = values_of(class_weight = in.class_weight->contiguous());
    divisor = Divisor(in, reduction, a.regions(), a.float64);
  }

  // Two numbers for each class of each image: see core/region_formulas.h.
  Tensor new_slopes(const RegionInputs& in) const {
    return at::empty_symint(shape_of_slopes(in), in.logits->options().dtype(loss_dtype()));
  }

  void check_slopes(const Tensor& slopes, const RegionInputs& in) const {
    check_shape("slopes", slopes, shape_of_slopes(in));
    TORCH_CHECK_TYPE(slopes.scalar_type() == loss_dtype(), "slopes: got dtype ", dtype_name(slopes),
                     ", wants the loss's dtype ", dtype_name(loss_dtype()));
    check_device("slopes", slopes, "logits", in.logits);
  }

  // Writes each loss, or the reduced one, and the slopes if they are wanted.
  void write_losses(Tensor& losses, Tensor* slopes = nullptr) const {
    void* const to = slopes ? slopes->mutable_data_ptr() : nullptr;
#ifdef IOULOSS_CUDA
    if (losses.is_cuda()) return region_loss_on_gpu(a, reduction, divisor, losses, to);
#endif
    const bool each = reduction == Reduction::none;
    const double sum = write_region_values(a, cell_sums_on_cpu(a), each ? losses.mutable_data_ptr() : nullptr, to,
                                           divisor.scale_on_cpu());
    if (!each) divisor.write_on_cpu(sum, losses);
  }

  // Writes the gradient with respect to the logits.
  void write_gradient(Tensor& grad, const Upstream& upstream, const Tensor& slopes) const {
    const Tensor of_cells = slopes.contiguous();
#ifdef IOULOSS_CUDA
    if (grad.is_cuda()) return region_gradient_on_gpu(a, upstream, of_cells.data_ptr(), grad);
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

  static c10::SymDimVector shape_of_slopes(const RegionInputs& in) {
    return {in.logits->sym_size(0), in.logits->sym_size(1), 2};
  }

  void check_tensors(const RegionInputs& in) const {
    check_floating("logits", in.logits);
    TORCH_CHECK_VALUE(in.logits->dim() >= 2, "logits: got shape ", in.logits->sym_sizes(), ", wants [N, C, ...]");
    const auto& classes = in.logits->sym_size(1);
    check_classes(classes);
    const bool dense = check_targets(in.targets, in.logits, 1);
    TORCH_CHECK_VALUE(!dense || !in.ignore_index, "ignore_index: got ", in.ignore_index.value_or(0),
                      " with dense targets, wants class indices");
    check_beside("class_weight", in.class_weight, {classes}, "logits", in.logits);
    check_beside("weight", in.weight, each(in), "logits", in.logits);
    check_avg_factor(in, "logits");
  }
};

}  // namespace

Tensor region_loss(const RegionInputs& in) { return LossOperator<RegionCall>::call(in); }

TORCH_LIBRARY_FRAGMENT(iouloss, m) { LossOperator<RegionCall>::define(m); }

}  // namespace iouloss
