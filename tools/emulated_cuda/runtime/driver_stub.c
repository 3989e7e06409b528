/* The few entry points of the driver that torch looks up at its start. */
#define EXPORT __attribute__((visibility("default")))

EXPORT int cuInit(unsigned flags) { return 0; }
EXPORT int cuDriverGetVersion(int* version) { return *version = 13000, 0; }
EXPORT int cuDeviceGetCount(int* count) { return *count = 2, 0; }
EXPORT int cuDeviceGet(int* device, int number) { return *device = number, 0; }
EXPORT int cuDevicePrimaryCtxGetState(int device, unsigned* flags, int* active) { return *flags = 0, *active = 1, 0; }
EXPORT int cuCtxGetCurrent(void** context) { return *context = (void*)0x10, 0; }
EXPORT int cuCtxGetDevice(int* device) { return *device = 0, 0; }
EXPORT int cuCtxSetCurrent(void* context) { return 0; }
EXPORT int cuDevicePrimaryCtxRetain(void** context, int device) { return *context = (void*)0x10, 0; }
EXPORT int cuGetErrorString(int error, const char** text) { return *text = "emulated driver", 0; }
