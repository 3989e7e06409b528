// nvcc -arch=native -o approximations benchmarks/approximations.cu && ./approximations
//
// How far a GPU's approximate exponential and reciprocal are from the exact ones: the largest relative error of 2^28
// numbers of a range, and the mean.
#include <algorithm>
#include <cmath>
#include <cstdio>

constexpr long count = 1l << 28;
constexpr int blocks = 1056, threads = 256;

struct Range {
  bool reciprocal;
  float low, high;
};

struct Errors {
  double largest, mean;
};

__device__ float approximate(bool reciprocal, float x) {
  float r;
  if (reciprocal)
    asm("rcp.approx.ftz.f32 %0, %1;" : "=f"(r) : "f"(x));
  else
    asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(r) : "f"(x));
  return r;
}

__global__ void measure(Errors* errors, Range range) {
  __shared__ double largest[threads], mean[threads];
  double most = 0, sum = 0;
  long n = 0;
  for (long i = blockIdx.x * long(threads) + threadIdx.x; i < count; i += long(blocks) * threads, ++n) {
    const float x = range.low + (range.high - range.low) * float(i) * (1.f / count);
    const double exact = range.reciprocal ? 1.0 / x : exp2(double(x));
    const double error = (approximate(range.reciprocal, x) - exact) / exact;
    most = fmax(most, fabs(error));
    sum += error;
  }
  largest[threadIdx.x] = most;
  mean[threadIdx.x] = sum / n;
  __syncthreads();
  if (threadIdx.x != 0) return;
  Errors all{};
  for (int i = 0; i < threads; ++i) {
    all.largest = fmax(all.largest, largest[i]);
    all.mean += mean[i] / threads;
  }
  errors[blockIdx.x] = all;
}

int main() {
  Errors* on_device;
  static Errors found[blocks];
  cudaMalloc(&on_device, sizeof found);
  const Range ranges[] = {{false, -1, 0},   {false, -0.05f, 0}, {false, -10, 0},
                          {false, -100, 0}, {true, 1, 2},       {true, 2, 6}};
  for (const Range& range : ranges) {
    measure<<<blocks, threads>>>(on_device, range);
    if (cudaMemcpy(found, on_device, sizeof found, cudaMemcpyDeviceToHost) != cudaSuccess) return 1;
    Errors all{};
    for (const Errors& of_block : found) {
      all.largest = std::max(all.largest, of_block.largest);
      all.mean += of_block.mean / blocks;
    }
    std::printf("%s of [%g, %g]: largest %.3e = %.2f x 2^-24, mean %.2e\n", range.reciprocal ? "rcp" : "ex2", range.low,
                range.high, all.largest, all.largest * 0x1p24, all.mean);
  }
}
