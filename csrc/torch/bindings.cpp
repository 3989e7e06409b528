// The Python module iouloss._C. Each operator is a plain function that enters the C++ dispatcher. So a call costs less
// than through torch.ops, but autograd, FakeTensor and the rest still see it. No other file includes torch/extension.h,
// because no header takes longer to compile.
#include <torch/csrc/autograd/python_variable.h>
#include <torch/extension.h>

#include "../core/box_table.h"
#include "../core/logit_table.h"
#include "../core/region_table.h"
#include "../core/row_table.h"
#include "../cpu/kernels.h"
#include "losses.h"

namespace py = pybind11;

namespace {

// Reads an argument into `value`, and returns whether it has the right type. pybind11 would convert: it makes an int of
// 2.9, a str of bytes and a number of a tensor. After a false, Python's error may be set. Then nothing of Python may be
// called until the error is dealt with.
bool read(PyObject* object, bool& value) {
  value = object == Py_True;
  return PyBool_Check(object);
}

bool read(PyObject* object, int64_t& value) {
  if (PyBool_Check(object) || !PyIndex_Check(object) || THPVariable_Check(object)) return false;
  value = PyLong_AsLongLong(object);
  return value != -1 || !PyErr_Occurred();
}

bool read(PyObject* object, double& value) {
  if (THPVariable_Check(object)) return false;
  value = PyFloat_AsDouble(object);
  return value != -1 || !PyErr_Occurred();
}

bool read(PyObject* object, std::string_view& value) {
  if (!PyUnicode_Check(object)) return false;
  Py_ssize_t size = 0;
  const char* text = PyUnicode_AsUTF8AndSize(object, &size);
  if (text) value = {text, size_t(size)};
  return text;
}

bool read(PyObject* object, at::Tensor& value) {
  if (!THPVariable_Check(object)) return false;
  value = THPVariable_Unpack(object);
  return true;
}

template <class T>
bool read(PyObject* object, std::optional<T>& value) {
  return object == Py_None || read(object, value.emplace());
}

// Reads input i from the next item of the tuple. The item avg_factor, a tensor or a number, stands for two inputs:
// first `avg_factor` takes it if it is a tensor, then `divisor` takes it if it is a number. So `avg_factor` does not
// move on to the next item.
template <class Inputs, size_t i>
bool read_input(PyObject* tuple, Py_ssize_t& next, auto& value) {
  constexpr std::string_view name = Inputs::names[i];
  if (next >= PyTuple_GET_SIZE(tuple)) return false;
  PyObject* const object = PyTuple_GET_ITEM(tuple, next);
  if constexpr (name != "avg_factor") ++next;
  if constexpr (name == "avg_factor")
    if (!THPVariable_Check(object)) return true;
  if constexpr (name == "divisor")
    if (THPVariable_Check(object)) return true;
  return read(object, value);
}

// The operator as Python calls it: with one tuple, because pybind11 would take a tenth of a microsecond for each
// argument. The tuple begins with the operator's inputs; what follows them is for the Python package only. Errors of
// torch become the Python errors that they stand for. The error for an input of the wrong type does not name the input;
// the checks of the Python package do.
template <class Inputs, at::Tensor (*f)(const Inputs&), class... Ts>
PyObject* call(PyObject* tuple, iouloss::TypeList<Ts...>) {
  HANDLE_TH_ERRORS
  std::tuple<Ts...> values;
  Py_ssize_t next = 0;
  const auto read_all = [&]<size_t... i>(std::index_sequence<i...>) {
    return (read_input<Inputs, i>(tuple, next, std::get<i>(values)) && ...);
  };
  const bool are_read = PyTuple_Check(tuple) && read_all(std::index_sequence_for<Ts...>());
  if (!are_read) {
    PyErr_SetString(PyExc_TypeError, "incompatible function arguments");
    return nullptr;
  }
  const at::Tensor result = [&] {
    py::gil_scoped_release no_gil;
    return std::apply([](const Ts&... value) { return f(Inputs{value...}); }, values);
  }();
  return THPVariable_Wrap(result);
  END_HANDLE_TH_ERRORS
}

template <class Inputs, at::Tensor (*f)(const Inputs&)>
void define(py::module_& m, const char* name) {
  static PyMethodDef methods[2] = {};
  methods[0] = {name, [](PyObject*, PyObject* tuple) { return call<Inputs, f>(tuple, typename Inputs::Types()); },
                METH_O, nullptr};
  if (PyModule_AddFunctions(m.ptr(), methods)) throw py::error_already_set();
}

// The losses of a table, each with the ranges of its options.
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
  define<iouloss::BoxInputs, iouloss::box_loss>(m, "box_loss");
  define<iouloss::LogitInputs, iouloss::logit_loss>(m, "logit_loss");
  define<iouloss::RegressionInputs, iouloss::regression_loss>(m, "regression_loss");
  define<iouloss::RowInputs, iouloss::row_loss>(m, "row_loss");
  define<iouloss::RegionInputs, iouloss::region_loss>(m, "region_loss");
  define<iouloss::KeptWeightInputs, iouloss::kept_weight>(m, "kept_weight");
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
