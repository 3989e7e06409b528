// The Python module iouloss._C: each operator as a plain function that enters the C++ dispatcher, so that a call costs
// less than through torch.ops and autograd, FakeTensor and the rest still see it. The only file that includes
// torch/extension.h, which takes longest of all to compile.
#include <torch/extension.h>

#include "../core/box_formulas.h"
#include "../cpu/kernels.h"
#include "box_loss.h"
#include "kept_weight.h"
#include "logit_loss.h"
#include "region_loss.h"
#include "row_loss.h"

namespace py = pybind11;

namespace {

// Errors of torch become the Python errors they stand for.
template <class... Args>
auto translated(at::Tensor (*f)(Args...)) {
  return [f](Args... args) -> at::Tensor {
    HANDLE_TH_ERRORS
    py::gil_scoped_release no_gil;
    return f(args...);
    END_HANDLE_TH_ERRORS_PYBIND
  };
}

std::vector<std::string> cpu_isas() {
  std::vector<std::string> names;
  for (const auto* kernels : iouloss::usable_cpu_kernels()) names.push_back(kernels->name);
  return names;
}

void set_cpu_isa(const std::string& name) {
  if (!iouloss::use_cpu_kernels(name))
    throw py::value_error("cpu_isa: got '" + name + "', which this processor or build does not have");
}

}  // namespace

PYBIND11_MODULE(TORCH_EXTENSION_NAME, m) {
  m.def("box_loss", translated(&iouloss::box_loss));
  m.def("logit_loss", translated(&iouloss::logit_loss));
  m.def("regression_loss", translated(&iouloss::regression_loss));
  m.def("row_loss", translated(&iouloss::row_loss));
  m.def("region_loss", translated(&iouloss::region_loss));
  m.def("kept_weight", translated(&iouloss::kept_weight));
  m.def("formulas", [] {
    return std::vector<std::string>(std::begin(iouloss::box_formula_names), std::end(iouloss::box_formula_names));
  });
  m.def("logit_formulas", [] {
    return std::vector<std::string>(std::begin(iouloss::logit_formula_names), std::end(iouloss::logit_formula_names));
  });
  m.def("cpu_isas", cpu_isas);
  m.def("cpu_isa", [] { return std::string(iouloss::cpu_kernels().name); });
  m.def("set_cpu_isa", set_cpu_isa);
  m.def("has_cuda", [] {
#ifdef IOULOSS_CUDA
    return true;
#else
    return false;
#endif
  });
}
