/* A stand-in for libcudart, for LD_PRELOAD: CUDA devices whose memory is host memory. All work is done at once, on the
 * thread that asks for it; that its streams and events would have ordered it is checked all the same. */
#pragma once

#define _GNU_SOURCE
#include <cuda_runtime_api.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define EXPORT __attribute__((visibility("default")))

enum { DEVICES = 2 };

/* --- errors.c --- */

/* Remembers the error for cudaGetLastError, and what cudaGetErrorString will say of it; returns it. */
cudaError_t fail(cudaError_t error, const char* format, ...) __attribute__((format(printf, 2, 3)));

void emulated_message(const char* text);     /* only the latter */
cudaError_t fail_as_told(cudaError_t error); /* only the former */

/* --- devices.c --- */

int current_device(void);

/* --- clocks.c: what happened before what, among streams --- */

/* Per stream, by its number: how much of its work is known to be done. */
typedef struct {
  uint64_t* done;
  uint32_t streams;
} Clock;

uint64_t clock_get(const Clock* clock, uint32_t stream);
void clock_set(Clock* clock, uint32_t stream, uint64_t done);
void clock_join(Clock* clock, const Clock* other);
void clock_free(Clock* clock);

typedef struct {
  uint32_t stream;
  uint64_t time; /* 0: there was none */
} Use;

/* --- streams.c --- */

typedef struct Graph Graph;

typedef struct Stream {
  uint32_t number;
  int device;
  bool blocking; /* ordered with the default stream */
  uint64_t now;  /* pieces of work so far */
  Clock known;
  Graph* capture; /* what it is being recorded into */
  bool unjoined;  /* part of a capture that its first stream has not waited for since */
  struct Stream* next;
} Stream;

/* The stream of a handle, among them the three that stand for the default stream of the current device. */
Stream* stream_of(cudaStream_t handle);
/* A new piece of work on the stream: its time. */
uint64_t advance(Stream* stream);
extern Clock g_host; /* what the host has waited for */
/* Ends the capture of all its streams; whether one of them was not waited for. */
bool leave_capture(const Graph* graph);

/* --- memory.c --- */

/* As executor.py has it. */
typedef struct {
  uint64_t base, size;
  uint8_t* written; /* a byte per byte: 0 where nothing wrote yet */
  int64_t device;
  uint64_t uses; /* by a launch: 1 read, 2 written */
} Allocation;

enum { USE_READ = 1, USE_WRITE = 2 };

/* Checks that the stream's present work may use the memory at p, and notes that it does. */
cudaError_t use_memory(Stream* stream, const void* p, int uses);
/* Whether the bytes lie in one allocation (1), outside all (0) or across an end (-1). */
int in_device_memory(const void* p, size_t bytes);
void mark_written(const void* p, size_t bytes);
void copy_written(const void* to, const void* from, size_t bytes);
/* Memory allocated during a capture lives as long as its graph. */
void free_memory_of(const Graph* graph);

/* --- work.c --- */

typedef enum { WORK_KERNEL, WORK_SET, WORK_COPY, WORK_PYTHON, WORK_CALLBACK } WorkKind;

typedef struct {
  const void* host; /* the function's address in the program */
  void* fatbin;
  const char* name;
} Kernel;

typedef struct {
  WorkKind kind;
  int device;
  int64_t token; /* WORK_PYTHON: what Python keeps for it */
  union {
    struct {
      Kernel kernel;
      unsigned grid_block[6];
      size_t shared;
      void** args;
    } launch;
    struct {
      void* to;
      int value;
      size_t bytes;
    } set;
    struct {
      void* to;
      const void* from;
      size_t bytes, rows, to_pitch, from_pitch;
      enum cudaMemcpyKind kind;
    } copy;
    struct {
      void (*call)(void*);
      void* data;
    } callback;
  };
} Work;

/* Does the work, or records it if the stream is being captured. */
cudaError_t submit(cudaStream_t stream, Work work);
cudaError_t perform(Stream* stream, const Work* work);

/* What Python does. Errors are CUDA's numbers. */
typedef struct {
  int (*launch)(const void* stream, void* fatbin, const char* kernel, const unsigned* grid_block, size_t shared,
                void** args, int device);
  int64_t (*record)(void* fatbin, const char* kernel, const unsigned* grid_block, size_t shared, void** args,
                    int device);
  int (*replay)(const void* stream, int64_t token);
  void (*forget)(int64_t token);
} Python;
extern Python g_python;

/* --- graphs.c --- */

/* Whether a call that waits, allocates or frees is allowed; if not, it spoils the captures under way. */
cudaError_t outside_capture(const char* call);
cudaError_t record(Stream* stream, Work work);
bool capturing(void);
Graph* open_capture(void);

extern pthread_mutex_t g_lock; /* of the tables; recursive */
/* "continue" leaves the block early, and unlocks; "return" must not. */
#define WITH_LOCK for (int once_ = (pthread_mutex_lock(&g_lock), 1); once_; once_ = (pthread_mutex_unlock(&g_lock), 0))
