/* What streams do: launches, memsets, copies, and operators that Python runs. */
#include "runtime.h"

Python g_python;
pthread_mutex_t g_lock = PTHREAD_RECURSIVE_MUTEX_INITIALIZER_NP;

EXPORT void emulated_attach(const Python* python) { g_python = *python; }

/* --- Kernels, as the program registers them. --- */

static Kernel* g_kernels;
static size_t g_count, g_capacity;

typedef struct {
  int magic, version;
  void *data, *filename;
} FatbinWrapper;

EXPORT void** __cudaRegisterFatBinary(void* wrapper) {
  void** handle = malloc(sizeof *handle);
  *handle = ((FatbinWrapper*)wrapper)->data;
  return handle;
}
EXPORT void __cudaRegisterFatBinaryEnd(void** handle) {}
EXPORT void __cudaUnregisterFatBinary(void** handle) {}
EXPORT void __cudaRegisterFunction(void** handle, const char* host, char* device_function, const char* name,
                                   int thread_limit, uint3* tid, uint3* bid, dim3* block, dim3* grid, int* warp_size) {
  WITH_LOCK {
    if (g_count == g_capacity) g_kernels = realloc(g_kernels, (g_capacity = 2 * g_capacity + 4096) * sizeof *g_kernels);
    g_kernels[g_count++] = (Kernel){host, *handle, name};
  }
}
EXPORT void __cudaRegisterVar(void** handle, char* host, char* device, const char* name, int ext, size_t bytes,
                              int constant, int global) {}
EXPORT void __cudaRegisterManagedVar(void** handle, void** host, char* device, const char* name, int ext, size_t bytes,
                                     int constant, int global) {}

/* By the function's address in the program, or by the number that stands for a cudaKernel_t. */
static bool find(const void* function, Kernel* out) {
  bool found = false;
  WITH_LOCK {
    for (size_t i = g_count; !found && i-- > 0;)
      if (g_kernels[i].host == function || (const void*)(i + 1) == function) *out = g_kernels[i], found = true;
  }
  return found;
}

/* --- Doing work. --- */

static cudaError_t perform_set(Stream* stream, const Work* work) {
  if (in_device_memory(work->set.to, work->set.bytes) != 1)
    return fail(cudaErrorInvalidValue, "cudaMemset of %zu bytes that are not in one allocation", work->set.bytes);
  memset(work->set.to, work->set.value, work->set.bytes);
  mark_written(work->set.to, work->set.bytes);
  return use_memory(stream, work->set.to, USE_WRITE);
}

static bool plausible(const void* p, size_t bytes, bool device, bool either) {
  int where = in_device_memory(p, bytes);
  return where >= 0 && (either || where == device);
}

static cudaError_t perform_copy(Stream* stream, const Work* work) {
  enum cudaMemcpyKind kind = work->copy.kind;
  bool either = kind == cudaMemcpyDefault;
  bool to_device = kind == cudaMemcpyHostToDevice || kind == cudaMemcpyDeviceToDevice;
  bool from_device = kind == cudaMemcpyDeviceToHost || kind == cudaMemcpyDeviceToDevice;
  for (size_t row = 0; row < work->copy.rows; row++) {
    char* to = (char*)work->copy.to + row * work->copy.to_pitch;
    const char* from = (const char*)work->copy.from + row * work->copy.from_pitch;
    if (!plausible(to, work->copy.bytes, to_device, either) || !plausible(from, work->copy.bytes, from_device, either))
      return fail(cudaErrorInvalidValue, "cudaMemcpy of %zu bytes from or to memory that is not as it says",
                  work->copy.bytes);
    memmove(to, from, work->copy.bytes);
    copy_written(to, from, work->copy.bytes);
  }
  cudaError_t error = cudaSuccess;
  if (in_device_memory(work->copy.from, 1)) error = use_memory(stream, work->copy.from, USE_READ);
  if (!error && in_device_memory(work->copy.to, 1)) error = use_memory(stream, work->copy.to, USE_WRITE);
  return error;
}

cudaError_t perform(Stream* stream, const Work* work) {
  advance(stream);
  switch (work->kind) {
    case WORK_SET: return perform_set(stream, work);
    case WORK_COPY: return perform_copy(stream, work);
    case WORK_PYTHON: return g_python.replay(stream, work->token);
    case WORK_CALLBACK: work->callback.call(work->callback.data); return cudaSuccess;
    case WORK_KERNEL:
      return g_python.launch(stream, work->launch.kernel.fatbin, work->launch.kernel.name, work->launch.grid_block,
                             work->launch.shared, work->launch.args, work->device);
  }
  return cudaErrorUnknown;
}

/* What Python keeps of a launch outlives its arguments. */
static Work kept(Work work) {
  if (work.kind != WORK_KERNEL) return work;
  int64_t token = g_python.record(work.launch.kernel.fatbin, work.launch.kernel.name, work.launch.grid_block,
                                  work.launch.shared, work.launch.args, work.device);
  return (Work){.kind = WORK_PYTHON, .device = work.device, .token = token};
}

cudaError_t submit(cudaStream_t handle, Work work) {
  Stream* stream = stream_of(handle);
  if (stream->device != work.device)
    return fail(cudaErrorInvalidResourceHandle, "work for device %d on a stream of device %d", work.device,
                stream->device);
  if (stream->capture) return record(stream, kept(work));
  if (capturing())
    return fail(cudaErrorStreamCaptureImplicit, "work on a stream that is not captured, while another one is");
  cudaError_t error = perform(stream, &work);
  return error ? fail_as_told(error) : cudaSuccess;
}

/* --- Launches. --- */

static __thread struct {
  dim3 grid, block;
  size_t shared;
  cudaStream_t stream;
} t_calls[16];
static __thread int t_depth;

EXPORT unsigned __cudaPushCallConfiguration(dim3 grid, dim3 block, size_t shared, struct CUstream_st* stream) {
  t_calls[t_depth].grid = grid;
  t_calls[t_depth].block = block;
  t_calls[t_depth].shared = shared;
  t_calls[t_depth++].stream = stream;
  return 0;
}
EXPORT cudaError_t __cudaPopCallConfiguration(dim3* grid, dim3* block, size_t* shared, void* stream) {
  *grid = t_calls[--t_depth].grid;
  *block = t_calls[t_depth].block;
  *shared = t_calls[t_depth].shared;
  *(cudaStream_t*)stream = t_calls[t_depth].stream;
  return cudaSuccess;
}

static cudaError_t launch(const void* function, dim3 grid, dim3 block, void** args, size_t shared,
                          cudaStream_t stream) {
  Work work = {.kind = WORK_KERNEL, .device = current_device()};
  if (!find(function, &work.launch.kernel)) return fail(cudaErrorInvalidDeviceFunction, "the function is no kernel");
  const char* name = work.launch.kernel.name;
  if (!g_python.launch) return fail(cudaErrorNoKernelImageForDevice, "kernel %s before torch is imported", name);
  uint64_t threads = (uint64_t)block.x * block.y * block.z;
  if (!grid.x || !grid.y || !grid.z || !threads || threads > 1024 || block.z > 64 || grid.y > 65535 || grid.z > 65535 ||
      grid.x > 2147483647u)
    return fail(cudaErrorInvalidConfiguration, "%s: invalid configuration (%u, %u, %u) x (%u, %u, %u)", name, grid.x,
                grid.y, grid.z, block.x, block.y, block.z);
  if (shared > 232448) return fail(cudaErrorInvalidValue, "%s: %zu bytes of shared memory", name, shared);
  unsigned grid_block[] = {grid.x, grid.y, grid.z, block.x, block.y, block.z};
  memcpy(work.launch.grid_block, grid_block, sizeof grid_block);
  work.launch.shared = shared;
  work.launch.args = args;
  return submit(stream, work);
}

EXPORT cudaError_t cudaLaunchKernel(const void* function, dim3 grid, dim3 block, void** args, size_t shared,
                                    cudaStream_t stream) {
  return launch(function, grid, block, args, shared, stream);
}
EXPORT cudaError_t __cudaGetKernel(cudaKernel_t* out, const void* function) {
  *out = (cudaKernel_t)function;
  return cudaSuccess;
}
EXPORT cudaError_t __cudaLaunchKernel(cudaKernel_t kernel, dim3 grid, dim3 block, void** args, size_t shared,
                                      cudaStream_t stream) {
  return launch(kernel, grid, block, args, shared, stream);
}
EXPORT cudaError_t cudaLaunchKernelExC(const cudaLaunchConfig_t* config, const void* function, void** args) {
  return launch(function, config->gridDim, config->blockDim, args, config->dynamicSmemBytes, config->stream);
}
EXPORT cudaError_t cudaLaunchHostFunc(cudaStream_t stream, void (*call)(void*), void* data) {
  return submit(stream, (Work){.kind = WORK_CALLBACK, .device = stream_of(stream)->device, .callback = {call, data}});
}

/* --- Memory. --- */

static cudaError_t set(void* to, int value, size_t bytes, cudaStream_t stream) {
  Work work = {.kind = WORK_SET, .device = stream_of(stream)->device, .set = {to, value, bytes}};
  return bytes ? submit(stream, work) : cudaSuccess;
}

static cudaError_t copy(void* to, size_t to_pitch, const void* from, size_t from_pitch, size_t bytes, size_t rows,
                        enum cudaMemcpyKind kind, cudaStream_t stream) {
  Work work = {.kind = WORK_COPY, .device = stream_of(stream)->device};
  work.copy.to = to, work.copy.from = from, work.copy.bytes = bytes, work.copy.rows = rows;
  work.copy.to_pitch = to_pitch, work.copy.from_pitch = from_pitch, work.copy.kind = kind;
  return bytes ? submit(stream, work) : cudaSuccess;
}

/* The calls without a stream make the host wait. */
static cudaError_t waited(const char* call, cudaError_t error) {
  if (!error) error = outside_capture(call);
  return error ? error : cudaStreamSynchronize(NULL);
}

EXPORT cudaError_t cudaMemset(void* to, int value, size_t bytes) {
  return waited("cudaMemset", set(to, value, bytes, NULL));
}
EXPORT cudaError_t cudaMemsetAsync(void* to, int value, size_t bytes, cudaStream_t stream) {
  return set(to, value, bytes, stream);
}
EXPORT cudaError_t cudaMemcpy(void* to, const void* from, size_t bytes, enum cudaMemcpyKind kind) {
  return waited("cudaMemcpy", copy(to, 0, from, 0, bytes, 1, kind, NULL));
}
EXPORT cudaError_t cudaMemcpyAsync(void* to, const void* from, size_t bytes, enum cudaMemcpyKind kind,
                                   cudaStream_t stream) {
  return copy(to, 0, from, 0, bytes, 1, kind, stream);
}
EXPORT cudaError_t cudaMemcpy2DAsync(void* to, size_t to_pitch, const void* from, size_t from_pitch, size_t width,
                                     size_t height, enum cudaMemcpyKind kind, cudaStream_t stream) {
  return copy(to, to_pitch, from, from_pitch, width, height, kind, stream);
}
EXPORT cudaError_t cudaMemcpyPeerAsync(void* to, int to_device, const void* from, int from_device, size_t bytes,
                                       cudaStream_t stream) {
  return copy(to, 0, from, 0, bytes, 1, cudaMemcpyDeviceToDevice, stream);
}
