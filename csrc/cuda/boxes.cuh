// The shape "boxes" on the GPU: one thread per pair. In float32 it loads each box with one 16-byte load and stores the
// gradient with one 16-byte store. In half precision these have 8 bytes. In double precision each takes two of 16
// bytes.
#pragma once

#include "../core/box_arguments.h"
#include "../core/box_formulas.h"
#include "memory.cuh"
#include "reduce.cuh"
#include "rescale.cuh"

namespace iouloss {
inline namespace IOULOSS_ARCH {

// The common layout: contiguous boxes in the format xyxy, pred and target of one dtype. One test for it replaces many.
enum class Plain : int { no, full, float16, bfloat16 };  // full: the number type of the computation

template <class T>
struct BoxLaunch {
  BoxArguments a;
  bool pred_vectors, target_vectors;
  Plain plain;
  Parameters<T> parameters;  // converted on the host, since many GPUs have few float64 units
};

template <class T>
__device__ __forceinline__ Row4<T> load_row(const Rows& rows, bool vectors, int64_t i) {
  const int64_t at = i * rows.row_stride;
  if (vectors) [[likely]]
    return load4<T>(rows.data, rows.dtype, at);
  return {load<T>(rows.data, rows.dtype, at), load<T>(rows.data, rows.dtype, at + rows.column_stride),
          load<T>(rows.data, rows.dtype, at + 2 * rows.column_stride),
          load<T>(rows.data, rows.dtype, at + 3 * rows.column_stride)};
}

// Two boxes as the formulas take them. Boxes are scaled first if the products of their lengths would overflow.
template <class T>
struct LoadedPair {
  Pair<T> b;
  Parameters<T> parameters;
  // A result whose magnitude is not above this needs no closer look. If the boxes are scaled, this is minus their
  // scale, so that every result gets a closer look.
  T most = T(Limits<T>::largest);

  __device__ __forceinline__ LoadedPair(const BoxLaunch<T>& l, int64_t i) : parameters(l.parameters) {
    Row4<T> p, t;
    const auto load_plain = [&](Dtype dtype) {
      p = load4<T>(l.a.pred.data, dtype, 4 * i);
      t = load4<T>(l.a.target.data, dtype, 4 * i);
      b = measure(p, t, BoxFormat::xyxy);
    };
    if (l.plain == Plain::full) [[likely]] {
      load_plain(dtype_of<T>);
    } else if (sizeof(T) == 4 && l.plain == Plain::float16) {
      load_plain(Dtype::float16);
    } else if (sizeof(T) == 4 && l.plain == Plain::bfloat16) {
      load_plain(Dtype::bfloat16);
    } else {
      p = load_row<T>(l.a.pred, l.pred_vectors, i);
      t = load_row<T>(l.a.target, l.target_vectors, i);
      b = measure(p, t, l.a.format);
    }
    if (!is_safe(b.extent())) [[unlikely]] {
      const T unit = T(Limits<T>::measuring);
      const T scale = scale_of_extent(measure(p * unit, t * unit, l.a.format).extent());
      most = -scale;
      b = measure(p * scale, t * scale, l.a.format);
      parameters.rescale(scale);
    }
    measure_overlap(b, parameters.area_eps);
  }

  // A NaN or infinite coordinate may leave no trace in the result. But then the extent is not safe, so the boxes are
  // scaled, and every result is exceptional.
  __device__ __forceinline__ bool is_exceptional(T result) const { return !(absolute(result) <= most); }

  // The gradient with respect to the boxes, given that with respect to the scaled boxes.
  __device__ __forceinline__ Row4<T> tamed_gradient(const Row4<T>& gradient) const {
    const Row4<T> g = gradient * (most < T(0) ? -most : T(1));
    const T extent = b.extent();
    return {tamed(g.c0, extent), tamed(g.c1, extent), tamed(g.c2, extent), tamed(g.c3, extent)};
  }
};

// Whether pair i counts. If it does not, its boxes are not read.
template <class T>
__device__ __forceinline__ bool is_kept(const BoxLaunch<T>& l, int64_t i) {
  return l.a.mask == nullptr || l.a.mask[i];
}

template <class T>
__device__ __forceinline__ T finite_loss(const LoadedPair<T>& pair, T loss) {
  if (pair.is_exceptional(loss)) [[unlikely]]
    return tamed(loss, pair.b.extent());
  return loss;
}

template <class T>
__device__ __forceinline__ T weight_of(const BoxLaunch<T>& l, int64_t i) {
  return l.a.weight.data ? load<T>(l.a.weight, i) : T(1);
}

template <class Formula, class T>
__global__ void __launch_bounds__(threads, resident_blocks<Registers::item, T>)
    box_losses(const BoxLaunch<T> l, const Delivery to, const Scale<T> scale) {
  T sum = 0;
  for (int64_t i = int64_t(blockIdx.x) * threads + threadIdx.x; i < l.a.n; i += int64_t(gridDim.x) * threads) {
    T loss = 0;
    if (is_kept(l, i)) [[likely]] {
      const LoadedPair<T> pair(l, i);
      Partials<T> unused;
      loss = finite_loss(pair, Formula::evaluate(pair.b, pair.parameters, unused)) * weight_of(l, i);
    }
    if (to.reduced)
      sum += loss;
    else
      static_cast<T*>(to.out)[i] = loss;
  }
  if (to.reduced) deliver_sum(sum, to, scale);
}

// In float64 the four exponentials of SIoU need the registers of several items: with fewer, some would spill.
template <class Formula>
inline constexpr Registers registers_of_gradient = Registers::item;
template <>
inline constexpr Registers registers_of_gradient<SIoU> = Registers::several;

// Writes the gradient with respect to pred and, if wanted, delivers the sum of the losses.
template <class Formula, class T>
__global__ void __launch_bounds__(threads, resident_blocks<registers_of_gradient<Formula>, T>)
    box_gradient(const BoxLaunch<T> l, const Delivery to, const Scale<T> scale, const Gradient grad) {
  if (rescale<T>(grad, 4 * l.a.n)) return;
  T sum = 0;
  const T common = load_scale(scale);
  for (int64_t i = int64_t(blockIdx.x) * threads + threadIdx.x; i < l.a.n; i += int64_t(gridDim.x) * threads) {
    if (!is_kept(l, i)) [[unlikely]] {
      store4<T>(grad.out, 4 * i, {});
      continue;
    }
    const LoadedPair<T> pair(l, nvidia::opaque(i));
    Partials<T> d;
    const T loss = Formula::evaluate(pair.b, pair.parameters, d);
    Row4<T> g = to_gradient(pair.b, d, l.a.format);
    if (pair.is_exceptional((g.c0 + g.c1) + (g.c2 + g.c3))) [[unlikely]]
      g = pair.tamed_gradient(g);
    const T weight = weight_of(l, i);
    T factor = weight * common;
    if (grad.upstream.data) factor *= load<T>(grad.upstream, i);
    store4(grad.out, 4 * i, g * factor);
    if (to.reduced) sum += finite_loss(pair, loss) * weight;
  }
  if (to.reduced) deliver_sum(sum, to, scale);
}

// ---- launches, for one number type -------------------------------------------------------------------------------

template <class T>
BoxLaunch<T> launch_of(const BoxArguments& a) {
  const auto vectors = [](const Rows& r) {
    return r.column_stride == 1 && is_vectorizable(r.data, r.dtype, r.row_stride);
  };
  const auto contiguous = [&](const Rows& r) { return vectors(r) && r.row_stride == 4; };
  Plain plain = Plain::no;
  if (a.format == BoxFormat::xyxy && contiguous(a.pred) && contiguous(a.target) && a.pred.dtype == a.target.dtype) {
    if (a.pred.dtype == dtype_of<T>) plain = Plain::full;
    if (a.pred.dtype == Dtype::float16) plain = Plain::float16;
    if (a.pred.dtype == Dtype::bfloat16) plain = Plain::bfloat16;
  }
  return {a, vectors(a.pred), vectors(a.target), plain, {T(a.eps), BoxOptions<T>(a.options)}};
}

template <class T>
void launch_box_losses(const BoxArguments& a, const Delivery& to, const DeviceScale& scale, cudaStream_t stream) {
  static constexpr void (*kernels[])(BoxLaunch<T>, Delivery, Scale<T>) = {
#define X(name, formula, ...) box_losses<formula, T>,
      IOULOSS_BOX_FORMULAS(X)
#undef X
  };
  const int64_t blocks = grid_for<T>(a.n, Registers::item, to.reduced);
  reset_counter(to, blocks, stream);
  kernels[int(a.formula)]<<<unsigned(blocks), threads, 0, stream>>>(launch_of<T>(a), to, scale_of<T>(scale));
}

template <class T>
void launch_box_gradient(const BoxArguments& a, const Delivery& to, const DeviceScale& scale, const Gradient& grad,
                         cudaStream_t stream) {
  static constexpr void (*kernels[])(BoxLaunch<T>, Delivery, Scale<T>, Gradient) = {
#define X(name, formula, ...) box_gradient<formula, T>,
      IOULOSS_BOX_FORMULAS(X)
#undef X
  };
  const int64_t blocks = grid_for<T>(a.n, Registers::item, to.reduced || grad.saved);
  reset_counter(to, blocks, stream);
  kernels[int(a.formula)]<<<unsigned(blocks), threads, 0, stream>>>(launch_of<T>(a), to, scale_of<T>(scale), grad);
}

}  // namespace IOULOSS_ARCH
}  // namespace iouloss
