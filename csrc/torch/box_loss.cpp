// The operators iouloss::box_loss*: a loss of paired boxes.
#include "../core/box_arguments.h"
#include "loss_operator.h"
#include "losses.h"

namespace iouloss {
namespace {

struct BoxCall : LossCall<BoxArguments, 4096> {
  using Inputs = BoxInputs;
  static constexpr auto name = "box_loss";
  static constexpr bool symmetric = true;
  static constexpr auto saved = Saved::gradient;

  explicit BoxCall(const BoxInputs& in) {
    const auto& row = row_of<BoxTable>(in.formula);
    a.formula = row.formula;
    reduction = parse_reduction(in.reduction);
    a.format = parse_format(in.fmt);
    check_range("eps", Range::not_negative, in.eps);
    a.options = checked_options(row, in);
    check_floating("pred", in.pred);
    TORCH_CHECK_TYPE(!in.mask || in.mask->scalar_type() == at::kBool, "mask: got dtype ", dtype_name(*in.mask),
                     ", wants torch.bool");
    const auto shape = in.pred->sym_sizes();
    TORCH_CHECK_VALUE(!shape.empty() && shape.back() == 4, "pred: got shape ", shape, ", wants [..., 4]");
    check_partner("target", in.target, "pred", in.pred);
    check_beside("weight", in.weight, each(in), "pred", in.pred);
    check_shape("mask", in.mask, each(in));
    check_device("mask", in.mask, "pred", in.pred);
    check_avg_factor(in, "pred");
    a.float64 = computes_in_float64(in.pred, in.target);
    a.eps = in.eps;
  }

  static void swap(BoxInputs& in) {
    std::swap(in.pred, in.target);
    in.formula = BoxTable::rows[int(swapped(row_of<BoxTable>(in.formula).formula))].name;
  }

  static c10::SymIntArrayRef each(const BoxInputs& in) { return in.pred->sym_sizes().slice(0, in.pred->dim() - 1); }

  c10::SymDimVector loss_shape(const BoxInputs& in) const { return reduced_or(each(in)); }

  // The tensors as the kernels take them: rows of four with any strides, and one weight and one mask value per row.
  void load(const BoxInputs& in) {
    pred = in.pred->reshape({-1, 4});
    target = in.target->reshape({-1, 4});
    a.n = pred.size(0);
    a.pred = rows(pred);
    a.target = rows(target);
    if (in.weight) a.weight = values_of(weight = in.weight->contiguous());
    if (in.mask) mask = in.mask->contiguous();
    if (in.mask) a.mask = mask.const_data_ptr<bool>();
    divisor = Divisor(in, reduction, a.n, a.float64);
  }

 private:
  Tensor pred, target, weight, mask;

  static Rows rows(const Tensor& t) { return {t.const_data_ptr(), dtype_of(t), t.stride(0), t.stride(1)}; }
};

}  // namespace

Tensor box_loss(const BoxInputs& in) { return LossOperator<BoxCall>::call(in); }

TORCH_LIBRARY_FRAGMENT(iouloss, m) { LossOperator<BoxCall>::define(m); }

}  // namespace iouloss
