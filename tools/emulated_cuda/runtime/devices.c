/* The devices: what they say of themselves. */
#include "runtime.h"

static __thread int t_device;
/* Enough that 8 blocks on each are more blocks than a block has threads, as on a GPU. */
enum { MULTIPROCESSORS = 34 };

int current_device(void) { return t_device; }

static cudaError_t checked(int device) {
  return device >= 0 && device < DEVICES ? cudaSuccess : fail(cudaErrorInvalidDevice, "there is no device %d", device);
}

EXPORT cudaError_t cudaGetDeviceCount(int* count) {
  *count = DEVICES;
  return cudaSuccess;
}
EXPORT cudaError_t cudaGetDevice(int* device) {
  *device = t_device;
  return cudaSuccess;
}
EXPORT cudaError_t cudaSetDevice(int device) {
  if (!checked(device)) t_device = device;
  return checked(device);
}
EXPORT cudaError_t cudaDriverGetVersion(int* version) {
  *version = 13000;
  return cudaSuccess;
}
EXPORT cudaError_t cudaRuntimeGetVersion(int* version) {
  *version = 13000;
  return cudaSuccess;
}

EXPORT cudaError_t cudaGetDeviceProperties(struct cudaDeviceProp* p, int device) {
  if (checked(device)) return cudaErrorInvalidDevice;
  *p = (struct cudaDeviceProp){
      .name = "Emulated CUDA device (PTX on the host)",
      .totalGlobalMem = 16ull << 30,
      .sharedMemPerBlock = 49152,
      .sharedMemPerBlockOptin = 232448,
      .sharedMemPerMultiprocessor = 233472,
      .regsPerBlock = 65536,
      .regsPerMultiprocessor = 65536,
      .warpSize = 32,
      .maxThreadsPerBlock = 1024,
      .maxThreadsPerMultiProcessor = 2048,
      .maxBlocksPerMultiProcessor = 32,
      .maxThreadsDim = {1024, 1024, 64},
      .maxGridSize = {2147483647, 65535, 65535},
      .major = 9,
      .minor = 0,
      .multiProcessorCount = MULTIPROCESSORS,
      .l2CacheSize = 50 << 20,
      .memoryBusWidth = 5120,
      .unifiedAddressing = 1,
      .concurrentKernels = 1,
      .textureAlignment = 512,
      .pciBusID = device,
  };
  return cudaSuccess;
}

EXPORT cudaError_t cudaDeviceGetAttribute(int* value, enum cudaDeviceAttr attribute, int device) {
  switch (attribute) {
    case cudaDevAttrComputeCapabilityMajor: *value = 9; break;
    case cudaDevAttrMultiProcessorCount: *value = MULTIPROCESSORS; break;
    case cudaDevAttrWarpSize: *value = 32; break;
    case cudaDevAttrMaxThreadsPerBlock: *value = 1024; break;
    case cudaDevAttrMaxThreadsPerMultiProcessor: *value = 2048; break;
    case cudaDevAttrMaxBlocksPerMultiprocessor: *value = 32; break;
    case cudaDevAttrMaxSharedMemoryPerBlock: *value = 49152; break;
    case cudaDevAttrMaxSharedMemoryPerBlockOptin: *value = 232448; break;
    case cudaDevAttrMaxSharedMemoryPerMultiprocessor: *value = 233472; break;
    case cudaDevAttrMaxGridDimX: *value = 2147483647; break;
    case cudaDevAttrMaxGridDimY:
    case cudaDevAttrMaxGridDimZ: *value = 65535; break;
    case cudaDevAttrMaxBlockDimX:
    case cudaDevAttrMaxBlockDimY: *value = 1024; break;
    case cudaDevAttrMaxBlockDimZ: *value = 64; break;
    default: *value = 0;
  }
  return cudaSuccess;
}

EXPORT cudaError_t cudaDeviceGetStreamPriorityRange(int* least, int* greatest) {
  *least = 0;
  *greatest = -5;
  return cudaSuccess;
}
EXPORT cudaError_t cudaDeviceCanAccessPeer(int* can, int device, int peer) {
  *can = 0;
  return cudaSuccess;
}
EXPORT cudaError_t cudaDeviceEnablePeerAccess(int peer, unsigned flags) {
  return fail(cudaErrorPeerAccessUnsupported, "the emulated devices do not share memory");
}
EXPORT cudaError_t cudaDeviceGetPCIBusId(char* out, int bytes, int device) {
  snprintf(out, bytes, "0000:%02x:00.0", device);
  return cudaSuccess;
}
EXPORT cudaError_t cudaGetDriverEntryPointByVersion(const char* symbol, void** function, unsigned version,
                                                    unsigned long long flags,
                                                    enum cudaDriverEntryPointQueryResult* status) {
  *function = NULL;
  if (status) *status = cudaDriverEntryPointSymbolNotFound;
  return cudaSuccess;
}

EXPORT cudaError_t cudaFuncGetAttributes(struct cudaFuncAttributes* attributes, const void* function) {
  *attributes =
      (struct cudaFuncAttributes){.maxThreadsPerBlock = 1024, .numRegs = 32, .ptxVersion = 90, .binaryVersion = 90};
  return cudaSuccess;
}
EXPORT cudaError_t cudaFuncSetAttribute(const void* function, enum cudaFuncAttribute attribute, int value) {
  return cudaSuccess;
}
EXPORT cudaError_t cudaOccupancyMaxActiveBlocksPerMultiprocessorWithFlags(int* blocks, const void* function, int block,
                                                                          size_t shared, unsigned flags) {
  *blocks = 2048 / block < 32 ? 2048 / block : 32;
  return cudaSuccess;
}
EXPORT cudaError_t cudaOccupancyMaxActiveBlocksPerMultiprocessor(int* blocks, const void* function, int block,
                                                                 size_t shared) {
  return cudaOccupancyMaxActiveBlocksPerMultiprocessorWithFlags(blocks, function, block, shared, 0);
}
