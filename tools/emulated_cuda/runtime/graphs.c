/* Capture and replay: the work of the captured streams, in the order it was asked for. */
#include "runtime.h"

struct Graph {
  Work* work;
  size_t count, capacity;
  Stream* first; /* whose capture it is */
  enum cudaStreamCaptureMode mode;
  unsigned long long id;
  const char* spoiled_by; /* a call that may not be made while capturing */
  int owners;             /* the graph itself, and what is instantiated from it */
};

static Graph* g_open; /* the capture under way: one at a time */
static __thread enum cudaStreamCaptureMode t_mode = cudaStreamCaptureModeGlobal;

bool capturing(void) { return g_open != NULL; }
Graph* open_capture(void) { return g_open; }

cudaError_t outside_capture(const char* call) {
  if (!g_open || g_open->mode == cudaStreamCaptureModeRelaxed || t_mode == cudaStreamCaptureModeRelaxed)
    return cudaSuccess;
  g_open->spoiled_by = call;
  return fail(cudaErrorStreamCaptureUnsupported, "%s while a stream is captured", call);
}

cudaError_t record(Stream* stream, Work work) {
  Graph* graph = stream->capture;
  if (graph->count == graph->capacity)
    graph->work = realloc(graph->work, (graph->capacity = 2 * graph->capacity + 16) * sizeof *graph->work);
  graph->work[graph->count++] = work;
  stream->unjoined = stream != graph->first;
  return cudaSuccess;
}

EXPORT int emulated_capturing(void) { return capturing(); }

EXPORT int emulated_record(const void* stream, int64_t token) {
  Stream* s = (Stream*)stream;
  if (!s->capture) {
    emulated_message("work on a stream that is not captured, while another one is");
    return cudaErrorStreamCaptureImplicit;
  }
  return record(s, (Work){.kind = WORK_PYTHON, .device = s->device, .token = token});
}

static void disown(Graph* graph) {
  if (--graph->owners) return;
  for (size_t i = 0; i < graph->count; i++)
    if (graph->work[i].kind == WORK_PYTHON && g_python.forget) g_python.forget(graph->work[i].token);
  free_memory_of(graph);
  free(graph->work);
  free(graph);
}

EXPORT cudaError_t cudaStreamBeginCapture(cudaStream_t handle, enum cudaStreamCaptureMode mode) {
  static unsigned long long captures;
  Stream* stream = stream_of(handle);
  if (!handle || handle == cudaStreamLegacy)
    return fail(cudaErrorStreamCaptureUnsupported, "the default stream cannot be captured");
  if (g_open) return fail(cudaErrorIllegalState, "a stream is captured already");
  g_open = stream->capture = calloc(1, sizeof *g_open);
  *g_open = (Graph){.first = stream, .mode = mode, .id = ++captures, .owners = 1};
  return cudaSuccess;
}

EXPORT cudaError_t cudaStreamEndCapture(cudaStream_t handle, cudaGraph_t* out) {
  Graph* graph = stream_of(handle)->capture;
  *out = NULL;
  if (!graph || graph->first != stream_of(handle))
    return fail(cudaErrorIllegalState, "the stream's capture did not begin here");
  g_open = NULL;
  bool unjoined = leave_capture(graph);
  if (graph->spoiled_by || unjoined) {
    cudaError_t error =
        graph->spoiled_by ? fail(cudaErrorStreamCaptureInvalidated, "the capture was spoiled by %s", graph->spoiled_by)
                          : fail(cudaErrorStreamCaptureUnjoined, "a stream that joined the capture was not waited for");
    disown(graph);
    return error;
  }
  *out = (cudaGraph_t)graph;
  return cudaSuccess;
}

EXPORT cudaError_t cudaStreamIsCapturing(cudaStream_t stream, enum cudaStreamCaptureStatus* status) {
  Graph* graph = stream_of(stream)->capture;
  *status = !graph              ? cudaStreamCaptureStatusNone
            : graph->spoiled_by ? cudaStreamCaptureStatusInvalidated
                                : cudaStreamCaptureStatusActive;
  return cudaSuccess;
}

EXPORT cudaError_t cudaStreamGetCaptureInfo(cudaStream_t stream, enum cudaStreamCaptureStatus* status,
                                            unsigned long long* id, cudaGraph_t* graph,
                                            const cudaGraphNode_t** dependencies, const cudaGraphEdgeData** edges,
                                            size_t* count) {
  Graph* capture = stream_of(stream)->capture;
  if (id) *id = capture ? capture->id : 0;
  if (graph) *graph = (cudaGraph_t)capture;
  if (dependencies) *dependencies = NULL;
  if (count) *count = 0;
  return cudaStreamIsCapturing(stream, status);
}

EXPORT cudaError_t cudaThreadExchangeStreamCaptureMode(enum cudaStreamCaptureMode* mode) {
  enum cudaStreamCaptureMode before = t_mode;
  t_mode = *mode;
  *mode = before;
  return cudaSuccess;
}

EXPORT cudaError_t cudaGraphGetNodes(cudaGraph_t graph, cudaGraphNode_t* nodes, size_t* count) {
  *count = ((Graph*)graph)->count; /* enough to tell an empty graph */
  return cudaSuccess;
}

EXPORT cudaError_t cudaGraphInstantiateWithFlags(cudaGraphExec_t* out, cudaGraph_t graph, unsigned long long flags) {
  ((Graph*)graph)->owners++;
  *out = (cudaGraphExec_t)graph;
  return cudaSuccess;
}
EXPORT cudaError_t cudaGraphInstantiate(cudaGraphExec_t* out, cudaGraph_t graph, unsigned long long flags) {
  return cudaGraphInstantiateWithFlags(out, graph, flags);
}

EXPORT cudaError_t cudaGraphLaunch(cudaGraphExec_t handle, cudaStream_t stream) {
  Graph* graph = (Graph*)handle;
  if (stream_of(stream)->capture)
    return fail(cudaErrorStreamCaptureUnsupported, "a graph launched into another is not implemented");
  for (size_t i = 0; i < graph->count; i++) {
    cudaError_t error = perform(stream_of(stream), &graph->work[i]);
    if (error) return fail_as_told(error);
  }
  return cudaSuccess;
}

EXPORT cudaError_t cudaGraphDestroy(cudaGraph_t graph) {
  disown((Graph*)graph);
  return cudaSuccess;
}
EXPORT cudaError_t cudaGraphExecDestroy(cudaGraphExec_t graph) {
  disown((Graph*)graph);
  return cudaSuccess;
}
