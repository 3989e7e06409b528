#include "runtime.h"

#include <dlfcn.h>

typedef struct {
  Allocation public;
  Graph* graph; /* whose capture allocated it */
  bool freed;   /* and its graph still uses it */
  Use written_by;
  Use* read_by;
  size_t readers;
} Entry;

static Entry* g_entries; /* by address */
static size_t g_count, g_capacity;
enum { GUARD = 4096 };

/* The entry that holds the address, or the last one before it. */
static Entry* entry_at(uint64_t address) {
  size_t low = 0, high = g_count;
  while (low < high) {
    size_t middle = (low + high) / 2;
    if (g_entries[middle].public.base <= address)
      low = middle + 1;
    else
      high = middle;
  }
  return low ? &g_entries[low - 1] : NULL;
}

static Entry* entry_of(const void* p) {
  Entry* e = entry_at((uint64_t)p);
  return e && (uint64_t)p - e->public.base < e->public.size + !e->public.size ? e : NULL;
}

/* Torch's own allocator may allocate while a graph is captured: from the pool of the graph, as far as its user sees. */
static bool called_by_torch(void* return_address) {
  Dl_info info;
  return dladdr(return_address, &info) && info.dli_fname && strstr(info.dli_fname, "libc10_cuda");
}

static cudaError_t allocate(void** p, size_t bytes, void* caller) {
  if (!called_by_torch(caller)) {
    cudaError_t error = outside_capture("cudaMalloc");
    if (error) return error;
  }
  void* raw;
  if (posix_memalign(&raw, 512, bytes + GUARD)) return fail(cudaErrorMemoryAllocation, "out of memory");
  memset(raw, 0xFF, bytes + GUARD); /* NaN in every float type */
  WITH_LOCK {
    if (g_count == g_capacity) g_entries = realloc(g_entries, (g_capacity = 2 * g_capacity + 1024) * sizeof *g_entries);
    Entry* before = entry_at((uint64_t)raw);
    size_t at = before ? before - g_entries + 1 : 0;
    memmove(g_entries + at + 1, g_entries + at, (g_count++ - at) * sizeof *g_entries);
    g_entries[at] = (Entry){{(uint64_t)raw, bytes, calloc(bytes + 1, 1), current_device(), 0}, .graph = open_capture()};
  }
  *p = raw;
  return cudaSuccess;
}

static void drop(Entry* e) {
  free((void*)e->public.base);
  free(e->public.written);
  free(e->read_by);
  memmove(e, e + 1, (--g_count - (e - g_entries)) * sizeof *e);
}

static cudaError_t release(void* p, void* caller) {
  if (!p) return cudaSuccess;
  if (!called_by_torch(caller)) {
    cudaError_t error = outside_capture("cudaFree");
    if (error) return error;
  }
  cudaError_t error = cudaSuccess;
  WITH_LOCK {
    Entry* e = entry_of(p);
    if (!e || e->public.base != (uint64_t)p || e->freed)
      error = fail(cudaErrorInvalidValue, "cudaFree of what is not allocated");
    else if (e->graph)
      e->freed = true;
    else
      drop(e);
  }
  return error;
}

void free_memory_of(const Graph* graph) {
  WITH_LOCK {
    for (size_t i = g_count; i-- > 0;) {
      if (g_entries[i].graph != graph) continue;
      g_entries[i].graph = NULL;
      if (g_entries[i].freed) drop(&g_entries[i]);
    }
  }
}

int in_device_memory(const void* p, size_t bytes) {
  int where = 0;
  WITH_LOCK {
    Entry* e = entry_of(p);
    if (e) where = (uint64_t)p + bytes <= e->public.base + e->public.size ? 1 : -1;
  }
  return where;
}

EXPORT void emulated_mark_written(const void* p, size_t bytes) {
  WITH_LOCK {
    Entry* e = entry_of(p);
    if (e) memset(e->public.written + ((uint64_t)p - e->public.base), 1, bytes);
  }
}
void mark_written(const void* p, size_t bytes) { emulated_mark_written(p, bytes); }

void copy_written(const void* to, const void* from, size_t bytes) {
  WITH_LOCK {
    Entry *source = entry_of(from), *target = entry_of(to);
    if (!source)
      mark_written(to, bytes);
    else if (target)
      memmove(target->public.written + ((uint64_t)to - target->public.base),
              source->public.written + ((uint64_t)from - source->public.base), bytes);
  }
}

static bool known(const Stream* stream, Use use) { return use.time <= clock_get(&stream->known, use.stream); }

static cudaError_t unordered(const Stream* stream, const Entry* e, const char* earlier, Use use) {
  return fail(cudaErrorIllegalAddress,
              "memory (%llu bytes at %#llx) is used on stream %u after it was %s on stream %u, and no event or wait "
              "orders them",
              (unsigned long long)e->public.size, (unsigned long long)e->public.base, stream->number, earlier,
              use.stream);
}

cudaError_t use_memory(Stream* stream, const void* p, int uses) {
  cudaError_t error = cudaSuccess;
  WITH_LOCK {
    Entry* e = entry_of(p);
    if (!e) {
      error = fail(cudaErrorIllegalAddress, "memory at %p is used that is not allocated", p);
      continue;
    }
    Use now = {stream->number, stream->now};
    if (!known(stream, e->written_by)) error = unordered(stream, e, "written", e->written_by);
    size_t mine = e->readers;
    for (size_t i = 0; i < e->readers; i++) {
      if (e->read_by[i].stream == stream->number) mine = i;
      if ((uses & USE_WRITE) && !known(stream, e->read_by[i])) error = unordered(stream, e, "read", e->read_by[i]);
    }
    if (uses & USE_WRITE) {
      e->written_by = now;
      e->readers = 0;
    } else {
      if (mine == e->readers) e->read_by = realloc(e->read_by, ++e->readers * sizeof *e->read_by);
      e->read_by[mine] = now;
    }
  }
  return error;
}

/* For Python, which raises what went wrong: no later call of the runtime is to tell it. */
EXPORT int emulated_use_memory(const void* stream, const void* p, int uses) {
  cudaError_t error = use_memory((Stream*)stream, p, uses);
  if (error) cudaGetLastError();
  return error;
}

EXPORT size_t emulated_allocations(Allocation* out, size_t capacity) {
  size_t count = 0;
  WITH_LOCK {
    count = g_count;
    for (size_t i = 0; i < g_count && i < capacity; i++) out[i] = g_entries[i].public;
  }
  return count;
}

EXPORT cudaError_t cudaMalloc(void** p, size_t bytes) { return allocate(p, bytes, __builtin_return_address(0)); }
EXPORT cudaError_t cudaFree(void* p) { return release(p, __builtin_return_address(0)); }
EXPORT cudaError_t cudaMallocAsync(void** p, size_t bytes, cudaStream_t stream) {
  return allocate(p, bytes, __builtin_return_address(0));
}
EXPORT cudaError_t cudaFreeAsync(void* p, cudaStream_t stream) { return release(p, __builtin_return_address(0)); }

EXPORT cudaError_t cudaHostAlloc(void** p, size_t bytes, unsigned flags) {
  return posix_memalign(p, 4096, bytes ? bytes : 1) ? fail(cudaErrorMemoryAllocation, "out of memory") : cudaSuccess;
}
EXPORT cudaError_t cudaMallocHost(void** p, size_t bytes) { return cudaHostAlloc(p, bytes, 0); }
EXPORT cudaError_t cudaFreeHost(void* p) {
  free(p);
  return cudaSuccess;
}
EXPORT cudaError_t cudaHostRegister(void* p, size_t bytes, unsigned flags) { return cudaSuccess; }
EXPORT cudaError_t cudaHostUnregister(void* p) { return cudaSuccess; }

EXPORT cudaError_t cudaMemGetInfo(size_t* available, size_t* total) {
  *available = 8ull << 30;
  *total = 16ull << 30;
  return cudaSuccess;
}

EXPORT cudaError_t cudaPointerGetAttributes(struct cudaPointerAttributes* attributes, const void* p) {
  *attributes = (struct cudaPointerAttributes){.type = cudaMemoryTypeUnregistered};
  WITH_LOCK {
    Entry* e = entry_of(p);
    if (e)
      *attributes = (struct cudaPointerAttributes){
          .type = cudaMemoryTypeDevice, .device = (int)e->public.device, .devicePointer = (void*)p};
  }
  return cudaSuccess;
}
