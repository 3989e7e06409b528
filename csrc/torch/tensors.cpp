#include "tensors.h"

#include <ATen/Parallel.h>
#include <ATen/autocast_mode.h>
#include <c10/core/DispatchKeySet.h>
#include <c10/core/impl/TorchDispatchModeTLS.h>
#include <c10/util/SmallVector.h>

#include <cmath>
#include <numeric>

namespace iouloss {

Dtype dtype_of(const at::Tensor& tensor) {
  switch (tensor.scalar_type()) {
    case at::kDouble: return Dtype::float64;
    case at::kHalf: return Dtype::float16;
    case at::kBFloat16: return Dtype::bfloat16;
    case at::kLong: return Dtype::int64;
    case at::kInt: return Dtype::int32;
    case at::kShort: return Dtype::int16;
    case at::kChar: return Dtype::int8;
    case at::kByte:
    case at::kBool: return Dtype::uint8;
    default: return Dtype::float32;
  }
}

Values values_of(const at::Tensor& contiguous) { return {contiguous.const_data_ptr(), dtype_of(contiguous), 1}; }

Indices indices_of(const at::Tensor& contiguous) { return {contiguous.const_data_ptr(), dtype_of(contiguous)}; }

Upstream::Upstream(const at::Tensor& grad_output) {
  bool repeated = true;
  for (int64_t i = 0; i < grad_output.dim(); ++i)
    repeated = repeated && (grad_output.stride(i) == 0 || grad_output.size(i) == 1);
  owner = repeated ? grad_output : grad_output.contiguous();
  values = values_of(owner);
  if (repeated) values.stride = 0;
}

Divisor::Divisor(const std::optional<at::Tensor>& avg_factor, std::optional<double> divisor, Reduction reduction,
                 int64_t n, bool float64) {
  if (avg_factor)
    tensor = avg_factor->to(float64 ? at::kDouble : at::kFloat);
  else if (reduction == Reduction::mean)
    number = divisor.value_or(double(n));
}

double Divisor::scale_on_cpu() const {
  if (!tensor.defined()) return scale_of(number);
  return scale_of(tensor.scalar_type() == at::kDouble ? *tensor.const_data_ptr<double>()
                                                      : *tensor.const_data_ptr<float>());
}

void Divisor::write_on_cpu(double sum, const at::Tensor& loss) const {
  const double value = sum * scale_on_cpu();
  if (loss.scalar_type() == at::kDouble)
    *loss.mutable_data_ptr<double>() = value;
  else
    *loss.mutable_data_ptr<float>() = float(value);
}

bool is_plain(const at::Tensor& tensor) {
  // A mode that traces must see operators that are functions of their inputs alone.
  if (c10::impl::TorchDispatchModeTLS::any_modes_set()) return false;
  const auto keys =
      tensor.key_set() - c10::autograd_dispatch_keyset_with_ADInplaceOrView - c10::autocast_dispatch_keyset;
  return keys == c10::DispatchKeySet(c10::DispatchKey::CPU) || keys == c10::DispatchKeySet(c10::DispatchKey::CUDA);
}

bool saves_gradient(const at::Tensor& input, std::string_view reduction) {
  if (reduction == "none" || !is_plain(input)) return false;
  // Where autocast uses float16 on a GPU, there is a gradient scaler, so that the upstream gradient is hardly ever 1.
  // The saved gradient would be in float16, and multiplying it would round it twice, so it would be of no use.
  return !(input.is_cuda() && input.scalar_type() == at::kHalf && at::autocast::is_autocast_enabled(at::kCUDA));
}

at::Tensor scaled_on_cpu(at::Tensor saved, const at::Tensor& grad_output) {
  const double upstream = grad_output.scalar_type() == at::kDouble ? *grad_output.const_data_ptr<double>()
                                                                   : *grad_output.const_data_ptr<float>();
  if (upstream == 1) return saved;
  // Multiplying a half would round it twice. And what does not count must have a gradient of 0, even if the upstream
  // gradient is infinite.
  if (saved.element_size() == 2 || !std::isfinite(upstream)) return {};
  return saved.mul_(grad_output);
}

double sum_over_chunks(int64_t n, int64_t chunk, const std::function<double(int64_t, int64_t)>& part) {
  const int64_t chunks = (n + chunk - 1) / chunk;
  c10::SmallVector<double, 64> sums(chunks);
  at::parallel_for(0, chunks, 2, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) sums[i] = part(i * chunk, std::min(n, (i + 1) * chunk));
  });
  return std::accumulate(sums.begin(), sums.end(), 0.0);
}

}  // namespace iouloss
