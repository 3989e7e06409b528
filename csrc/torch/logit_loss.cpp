// The operators iouloss::logit_loss* and iouloss::regression_loss*: losses of single numbers and their targets.
#include <cmath>

#include "../core/logit_arguments.h"
#include "../core/logit_formulas.h"
#include "loss_operator.h"
#include "losses.h"

namespace iouloss {
namespace {

struct LogitTraits {
  bool has_targets, has_scores, has_balance;
};

const LogitTraits& traits_of(LogitFormula formula) {
  static constexpr LogitTraits table[] = {
#define X(name, formula, ...) {formula::has_targets, formula::has_scores, formula::has_balance},
      IOULOSS_LOGIT_FORMULAS(X)
#undef X
  };
  return table[int(formula)];
}

// What LogitCall and RegressionCall share: each number has a target, and there is a weight per number or per row.
struct ElementCall : LossCall<LogitArguments, 16384> {
 protected:
  Tensor logits, targets, weight;

  template <class Table>
  void check(const char* name, const Tensor& logits, const auto& in) {
    const auto& row = row_of<Table>(in.formula);
    a.formula = row.formula;
    reduction = parse_reduction(in.reduction);
    check_floating(name, logits);
    a.options = checked_options(row, in);
    if (!in.weight) return;
    check_floating("weight", *in.weight);
    check_device("weight", in.weight, name, logits);
    const auto shape = logits.sym_sizes(), rows = shape.slice(0, shape.empty() ? 0 : shape.size() - 1);
    a.weight_per_row = in.weight->sym_sizes() != shape;
    TORCH_CHECK_VALUE(!a.weight_per_row || (!shape.empty() && in.weight->sym_sizes() == rows), "weight: got shape ",
                      in.weight->sym_sizes(), ", wants ", shape, " or ", rows);
  }

  // The tensors as the kernels take them: contiguous.
  void load_elements(const Tensor& logits_, const auto& in) {
    logits = logits_.contiguous();
    a.n = logits.numel();
    a.classes = logits.dim() > 0 ? logits.size(-1) : 1;
    a.logits = values_of(logits);
    if (in.weight) a.weight = values_of(weight = in.weight->contiguous());
    divisor = Divisor(in, reduction, a.n, a.float64);
  }

  void load_targets(const Tensor& targets_) { a.targets = values_of(targets = targets_.contiguous()); }
};

struct LogitCall : ElementCall {
  using Inputs = LogitInputs;
  static constexpr auto name = "logit_loss";
  static constexpr bool symmetric = false;
  static constexpr auto saved = Saved::gradient;

  explicit LogitCall(const LogitInputs& in) {
    check<LogitTable>("logits", in.logits, in);
    check_range("alpha1", Range::not_negative, in.alpha1);
    check_range("alpha0", Range::not_negative, in.alpha0);
    const bool dense = check_targets(in.targets, in.logits, in.logits->dim() - 1);
    const LogitTraits& has = traits_of(a.formula);
    TORCH_CHECK_VALUE(has.has_targets || !in.ignore_index, "ignore_index: got one for '", in.formula,
                      "', which has no targets");
    const auto shape = in.logits->sym_sizes();
    TORCH_CHECK_VALUE(!in.scores || !dense, "scores: got dense targets, wants class indices");
    TORCH_CHECK_VALUE(!in.scores || has.has_scores, "scores: got them for '", in.formula, "', which has none");
    if (in.scores) check_beside("scores", in.scores, shape.slice(0, shape.size() - 1), "logits", in.logits);
    TORCH_CHECK_VALUE(!shape.empty() || !(in.alpha_per_class || in.balance), "logits: got shape [], wants [..., C]");
    const auto classes = shape.slice(shape.empty() ? 0 : shape.size() - 1);
    check_beside("alpha", in.alpha_per_class, classes, "logits", in.logits);
    check_beside("balance", in.balance, classes, "logits", in.logits);
    TORCH_CHECK_VALUE(has.has_balance == bool(in.balance), "balance: got ", in.balance ? "Tensor" : "NoneType",
                      " for '", in.formula, "', wants ", has.has_balance ? "a tensor [C]" : "None");
    check_avg_factor(in, "logits");
    a.float64 = computes_in_float64(in.logits, in.targets);
    a.ignore_index = in.ignore_index.value_or(no_class);
    a.ignores_targets = dense && in.ignore_index;
    a.alpha1 = in.alpha1;
    a.alpha0 = in.alpha0;
    a.complement = in.complement && in.alpha_per_class;
  }

  static const char* public_name(const LogitInputs& in, std::string_view name) {
    if (name == "targets" && in.formula == "binary_entropy") return nullptr;  // has no targets: gets the logits instead
    if (name == "alpha_per_class") return "alpha";
    return name.data();
  }

  c10::SymDimVector loss_shape(const LogitInputs& in) const { return reduced_or(in.logits->sym_sizes()); }

  void load(const LogitInputs& in) {
    load_elements(in.logits, in);
    if (in.targets->dim() < in.logits->dim()) {
      targets = in.targets->contiguous();
      a.class_index = indices_of(targets);
    } else if (traits_of(a.formula).has_targets) {
      load_targets(in.targets);
    }
    if (in.scores) a.scores = values_of(scores = in.scores->contiguous());
    if (in.alpha_per_class) a.alpha_per_class = values_of(alpha = in.alpha_per_class->contiguous());
    if (in.balance) a.balance = values_of(balance = in.balance->contiguous());
  }

 private:
  Tensor scores, alpha, balance;
};

struct RegressionCall : ElementCall {
  using Inputs = RegressionInputs;
  static constexpr auto name = "regression_loss";
  static constexpr bool symmetric = true;
  static constexpr auto saved = Saved::gradient;

  explicit RegressionCall(const RegressionInputs& in) {
    check<RegressionTable>("pred", in.pred, in);
    check_partner("target", in.target, "pred", in.pred);
    check_avg_factor(in, "pred");
    a.float64 = computes_in_float64(in.pred, in.target);
    a.alpha1 = a.alpha0 = 1;
    TORCH_CHECK_VALUE(a.formula != LogitFormula::balanced_l1 || in.gamma / in.alpha <= 80, "gamma: got ",
                      repr(in.gamma), ", wants at most 80 * alpha, ", repr(80 * in.alpha));
    // Computed here, in float64: growth would cancel in float32 where gamma is much smaller than alpha.
    a.options.growth = std::expm1(in.gamma / in.alpha);
    a.options.log_beta = std::log(in.beta);
  }

  static void swap(RegressionInputs& in) { std::swap(in.pred, in.target); }

  c10::SymDimVector loss_shape(const RegressionInputs& in) const { return reduced_or(in.pred->sym_sizes()); }

  void load(const RegressionInputs& in) {
    load_elements(in.pred, in);
    load_targets(in.target);
  }
};

}  // namespace

Tensor logit_loss(const LogitInputs& in) { return LossOperator<LogitCall>::call(in); }

Tensor regression_loss(const RegressionInputs& in) { return LossOperator<RegressionCall>::call(in); }

TORCH_LIBRARY_FRAGMENT(iouloss, m) {
  LossOperator<LogitCall>::define(m);
  LossOperator<RegressionCall>::define(m);
}

}  // namespace iouloss
