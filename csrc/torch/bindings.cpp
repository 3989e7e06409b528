// The Python module iouloss._C: each operator as a plain function that enters the C++ dispatcher, so that a call costs
// less than through torch.ops and autograd, FakeTensor and the rest still see it. The only file that includes
// torch/extension.h, which takes longest of all to compile.
#include <torch/extension.h>

#include "../core/box_table.h"
#include "../core/logit_table.h"
#include "../core/region_table.h"
#include "../core/row_table.h"
#include "../cpu/kernels.h"
#include "losses.h"

namespace py = pybind11;

namespace {

// An argument of just that type. pybind11 by itself makes an int of 2.9, a str of bytes and a number of a tensor.
template <class T>
struct Exact {
  T value{};
  operator const T&() const { return value; }
};

template <class T>
struct ExactOf {
  using type = T;
};
template <>
struct ExactOf<int64_t> {
  using type = Exact<int64_t>;
};
template <>
struct ExactOf<double> {
  using type = Exact<double>;
};
template <>
struct ExactOf<bool> {
  using type = Exact<bool>;
};
template <>
struct ExactOf<std::string_view> {
  using type = Exact<std::string_view>;
};
template <class T>
struct ExactOf<std::optional<T>> {
  using type = std::optional<typename ExactOf<T>::type>;
};

bool read(PyObject* object, bool& value) {
  value = object == Py_True;
  return PyBool_Check(object);
}

bool read(PyObject* object, int64_t& value) {
  if (PyBool_Check(object) || !PyIndex_Check(object) || THPVariable_Check(object)) return false;
  value = PyLong_AsLongLong(object);
  return true;
}

bool read(PyObject* object, double& value) {
  if (THPVariable_Check(object)) return false;
  value = PyFloat_AsDouble(object);
  return true;
}

bool read(PyObject* object, std::string_view& value) {
  if (!PyUnicode_Check(object)) return false;
  Py_ssize_t size = 0;
  const char* text = PyUnicode_AsUTF8AndSize(object, &size);
  if (text) value = {text, size_t(size)};
  return text;
}

}  // namespace

template <class T>
struct pybind11::detail::type_caster<Exact<T>> {
  PYBIND11_TYPE_CASTER(Exact<T>, const_name("exact"));
  bool load(handle source, bool) {
    const bool is_read = read(source.ptr(), value.value);
    if (!PyErr_Occurred()) return is_read;
    PyErr_Clear();  // what it is not is said by the checks of the Python package
    return false;
  }
};

namespace {

template <class T>
const T& given(const T& value) {
  return value;
}
template <class T>
const T& given(const Exact<T>& exact) {
  return exact.value;
}
template <class T>
std::optional<T> given(const std::optional<Exact<T>>& exact) {
  return exact ? std::optional<T>(exact->value) : std::nullopt;
}

// The operator as Python calls it. Errors of torch become the Python errors they stand for.
template <class Inputs, class... Ts>
void define(py::module_& m, const char* name, at::Tensor (*f)(const Inputs&), iouloss::TypeList<Ts...>) {
  m.def(name, [f](const typename ExactOf<Ts>::type&... values) -> at::Tensor {
    HANDLE_TH_ERRORS
    py::gil_scoped_release no_gil;
    return f(Inputs{given(values)...});
    END_HANDLE_TH_ERRORS_PYBIND
  });
}

template <class Inputs>
void define(py::module_& m, const char* name, at::Tensor (*f)(const Inputs&)) {
  define(m, name, f, typename Inputs::Types());
}

// The losses of a table: of each, the ranges of its options.
py::dict rows_of(const auto& table) {
  py::dict losses;
  for (const auto& row : table) {
    py::dict ranges;
    for (const auto& rule : row.rules)
      if (rule.name) ranges[rule.name] = iouloss::range_names[int(rule.range)];
    losses[row.name] = ranges;
  }
  return losses;
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
  define(m, "box_loss", &iouloss::box_loss);
  define(m, "logit_loss", &iouloss::logit_loss);
  define(m, "regression_loss", &iouloss::regression_loss);
  define(m, "row_loss", &iouloss::row_loss);
  define(m, "region_loss", &iouloss::region_loss);
  define(m, "kept_weight", &iouloss::kept_weight);
  m.def("losses", [] {
    py::dict shapes;
    shapes["boxes"] = rows_of(iouloss::BoxTable::rows);
    shapes["logits"] = rows_of(iouloss::LogitTable::rows);
    shapes["regression"] = rows_of(iouloss::RegressionTable::rows);
    shapes["rows"] = rows_of(iouloss::RowTable::rows);
    shapes["regions"] = rows_of(iouloss::RegionTable::rows);
    return shapes;
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
