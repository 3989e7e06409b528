// Host functions that use the device as an extension does. They return CUDA's error.
#include <cuda_runtime.h>

#define LAUNCHER extern "C" int

__global__ void scale_kernel(const float* x, float* out, int n) {
  int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i < n) out[i] = 2 * x[i];
}

__global__ void count_kernel(unsigned* counter, float* out) {
  if (threadIdx.x == 0) *out = atomicAdd(counter, 1);
}

LAUNCHER scale(const float* x, float* out, int n, cudaStream_t stream) {
  scale_kernel<<<(n + 127) / 128, 128, 0, stream>>>(x, out, n);
  return cudaGetLastError();
}

// Needs the counter at zero, each time.
LAUNCHER count(unsigned* counter, float* out, cudaStream_t stream) {
  if (cudaError_t error = cudaMemsetAsync(counter, 0, sizeof *counter, stream)) return error;
  count_kernel<<<1, 32, 0, stream>>>(counter, out);
  return cudaGetLastError();
}

LAUNCHER copy(void* to, const void* from, size_t bytes, cudaStream_t stream) {
  cudaMemcpyAsync(to, from, bytes, cudaMemcpyDeviceToDevice, stream);
  return cudaGetLastError();
}

LAUNCHER allocate_and_free() {
  void* p;
  if (cudaMalloc(&p, 16) == cudaSuccess) cudaFree(p);
  return cudaGetLastError();
}

LAUNCHER wait_for(cudaStream_t stream) {
  cudaStreamSynchronize(stream);
  return cudaGetLastError();
}

extern "C" const char* message(int error) { return cudaGetErrorString(cudaError_t(error)); }
