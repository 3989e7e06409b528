/* Streams and events. Everything has happened when a call returns; what is kept is what would have. */
#include "runtime.h"

Clock g_host;
static Stream g_default[DEVICES] = {{.number = 0, .device = 0, .blocking = true},
                                    {.number = 1, .device = 1, .blocking = true}};
static Stream* g_streams; /* all but the default ones; they are never freed */
static uint32_t g_numbers = DEVICES;

typedef struct {
  Clock at;
  Graph* capture;
  Stream* stream; /* it was recorded on last */
} Event;

Stream* stream_of(cudaStream_t handle) {
  if (!handle || handle == cudaStreamLegacy || handle == cudaStreamPerThread) return &g_default[current_device()];
  return (Stream*)handle;
}

EXPORT void* emulated_stream(cudaStream_t handle, int device) {
  bool is_default = !handle || handle == cudaStreamLegacy || handle == cudaStreamPerThread;
  return is_default ? &g_default[device] : (Stream*)handle;
}

EXPORT void emulated_begin_work(const void* stream) { advance((Stream*)stream); }

/* As torch does around a copy from device to device. */
EXPORT void emulated_join(const void* a, const void* b) {
  WITH_LOCK {
    clock_join(&((Stream*)a)->known, &((Stream*)b)->known);
    clock_join(&((Stream*)b)->known, &((Stream*)a)->known);
  }
}

uint64_t advance(Stream* stream) {
  WITH_LOCK {
    Stream* first = &g_default[stream->device];
    clock_join(&stream->known, &g_host);
    if (stream == first) {
      for (Stream* s = g_streams; s; s = s->next)
        if (s->blocking && s->device == stream->device) clock_join(&stream->known, &s->known);
    } else if (stream->blocking) {
      clock_join(&stream->known, &first->known);
    }
    clock_set(&stream->known, stream->number, ++stream->now);
  }
  return stream->now;
}

bool leave_capture(const Graph* graph) {
  bool unjoined = false;
  WITH_LOCK {
    for (Stream* s = g_streams; s; s = s->next) {
      if (s->capture != graph) continue;
      unjoined |= s->unjoined;
      s->capture = NULL;
      s->unjoined = false;
    }
  }
  return unjoined;
}

static cudaError_t create(cudaStream_t* out, unsigned flags) {
  WITH_LOCK {
    Stream* s = calloc(1, sizeof *s);
    *s = (Stream){.number = g_numbers++,
                  .device = current_device(),
                  .blocking = !(flags & cudaStreamNonBlocking),
                  .next = g_streams};
    g_streams = s;
    *out = (cudaStream_t)s;
  }
  return cudaSuccess;
}

EXPORT cudaError_t cudaStreamCreate(cudaStream_t* out) { return create(out, 0); }
EXPORT cudaError_t cudaStreamCreateWithFlags(cudaStream_t* out, unsigned flags) { return create(out, flags); }
EXPORT cudaError_t cudaStreamCreateWithPriority(cudaStream_t* out, unsigned flags, int priority) {
  return create(out, flags);
}
EXPORT cudaError_t cudaStreamDestroy(cudaStream_t stream) { return cudaSuccess; }
EXPORT cudaError_t cudaStreamGetPriority(cudaStream_t stream, int* priority) {
  *priority = 0;
  return cudaSuccess;
}

static void host_waits_for(Stream* stream) { WITH_LOCK clock_join(&g_host, &stream->known); }
EXPORT void emulated_host_waits(const void* stream) { host_waits_for((Stream*)stream); }

EXPORT cudaError_t cudaStreamSynchronize(cudaStream_t stream) {
  cudaError_t error = outside_capture("cudaStreamSynchronize");
  if (!error) host_waits_for(stream_of(stream));
  return error;
}

EXPORT cudaError_t cudaStreamQuery(cudaStream_t stream) {
  cudaError_t error = outside_capture("cudaStreamQuery");
  if (!error) host_waits_for(stream_of(stream));
  return error;
}

EXPORT cudaError_t cudaDeviceSynchronize(void) {
  cudaError_t error = outside_capture("cudaDeviceSynchronize");
  if (error) return error;
  host_waits_for(&g_default[current_device()]);
  for (Stream* s = g_streams; s; s = s->next)
    if (s->device == current_device()) host_waits_for(s);
  return cudaSuccess;
}

/* --- Events. --- */

EXPORT cudaError_t cudaEventCreateWithFlags(cudaEvent_t* out, unsigned flags) {
  *out = calloc(1, sizeof(Event));
  return cudaSuccess;
}
EXPORT cudaError_t cudaEventCreate(cudaEvent_t* out) { return cudaEventCreateWithFlags(out, 0); }
EXPORT cudaError_t cudaEventDestroy(cudaEvent_t event) {
  clock_free(&((Event*)event)->at);
  free(event);
  return cudaSuccess;
}

EXPORT cudaError_t cudaEventRecord(cudaEvent_t handle, cudaStream_t stream) {
  WITH_LOCK {
    Event* event = (Event*)handle;
    Stream* s = stream_of(stream);
    advance(s);
    event->stream = s;
    event->capture = s->capture;
    clock_free(&event->at);
    clock_join(&event->at, &s->known);
  }
  return cudaSuccess;
}
EXPORT cudaError_t cudaEventRecordWithFlags(cudaEvent_t event, cudaStream_t stream, unsigned flags) {
  return cudaEventRecord(event, stream);
}

EXPORT cudaError_t cudaStreamWaitEvent(cudaStream_t stream, cudaEvent_t handle, unsigned flags) {
  cudaError_t error = cudaSuccess;
  WITH_LOCK {
    Stream* s = stream_of(stream);
    Event* event = (Event*)handle;
    if (event->capture && event->stream->capture == event->capture) {
      if (!s->capture) s->capture = event->capture, s->unjoined = true; /* the stream joins the capture */
      event->stream->unjoined = false;
    } else if (s->capture) {
      error = fail(cudaErrorStreamCaptureIsolation,
                   "a stream that is captured waits for an event from outside the capture");
    }
    clock_join(&s->known, &event->at);
  }
  return error;
}

static cudaError_t host_waits_for_event(const char* call, cudaEvent_t handle) {
  cudaError_t error = outside_capture(call);
  WITH_LOCK if (!error) clock_join(&g_host, &((Event*)handle)->at);
  return error;
}
EXPORT cudaError_t cudaEventQuery(cudaEvent_t event) { return host_waits_for_event("cudaEventQuery", event); }
EXPORT cudaError_t cudaEventSynchronize(cudaEvent_t event) {
  return host_waits_for_event("cudaEventSynchronize", event);
}
EXPORT cudaError_t cudaEventElapsedTime(float* ms, cudaEvent_t start, cudaEvent_t end) {
  *ms = 0; /* nothing here measures time */
  return cudaSuccess;
}
