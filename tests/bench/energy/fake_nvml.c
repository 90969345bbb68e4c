/* Plays libnvidia-ml.so.1: one GPU whose time and power the test sets, and whose ailments it chooses. */
#include <math.h>
#include <string.h>

enum { SUCCESS = 0, NOT_SUPPORTED = 3, NO_PERMISSION = 4, INSUFFICIENT_SIZE = 7, GPU_IS_LOST = 15 };
enum { FROZEN = 1, NO_COUNTER = 2, LOST = 4, FORBIDDEN = 8, MIG = 16, NO_POWER = 32, LYING_POWER = 64 };

static double now, joules, watts;
static unsigned long long shown;
static int ailments, sharers = 1, opened;

void fake_ail(int which) { ailments = which; }
void fake_share(int processes) { sharers = processes; }
void fake_reset(void) { joules = 0; shown = 0; }
int fake_opened(void) { return opened; }
double fake_now(void) { return now; }

/* So many seconds at so many watts. The counter shows what it held at the last tenth of a second. */
void fake_advance(double seconds, double power) {
    now += seconds;
    watts = power;
    joules += seconds * power;
    if (!(ailments & FROZEN)) shown = (unsigned long long)llround(1000 * (joules - power * fmin(seconds, fmod(now, 0.1))));
}

int nvmlInitWithFlags(unsigned flags) { (void)flags; opened++; return SUCCESS; }
int nvmlShutdown(void) { opened--; return SUCCESS; }
const char *nvmlErrorString(int code) { return code == GPU_IS_LOST ? "GPU is lost" : code == NO_PERMISSION ? "Insufficient Permissions" : "Error"; }
int nvmlDeviceGetHandleByIndex_v2(unsigned index, void **device) { *device = (void *)1; return index ? 6 : SUCCESS; }
int nvmlDeviceGetHandleByUUID(const char *uuid, void **device) { *device = (void *)1; return strcmp(uuid, "GPU-1") ? 6 : SUCCESS; }
static int ill(void) { return ailments & LOST ? GPU_IS_LOST : ailments & FORBIDDEN ? NO_PERMISSION : SUCCESS; }
int nvmlDeviceGetTotalEnergyConsumption(void *device, unsigned long long *mj) {
    (void)device;
    *mj = shown;
    return ailments & NO_COUNTER ? NOT_SUPPORTED : ill();
}
int nvmlDeviceGetPowerUsage(void *device, unsigned *mw) {
    (void)device;
    *mw = (unsigned)(1000 * watts * (ailments & LYING_POWER ? 2 : 1));
    return ailments & NO_POWER ? NOT_SUPPORTED : ill();
}
int nvmlDeviceGetMigMode(void *device, unsigned *current, unsigned *pending) {
    (void)device;
    *current = *pending = (ailments & MIG) != 0;
    return SUCCESS;
}
typedef struct { unsigned pid; unsigned long long memory; unsigned gpu, compute; } process;
int nvmlDeviceGetComputeRunningProcesses_v3(void *device, unsigned *count, process *found) {
    (void)device;
    unsigned room = *count;
    *count = (unsigned)sharers;
    if (!sharers) return SUCCESS;
    if (room < (unsigned)sharers) return INSUFFICIENT_SIZE;
    memset(found, 0, sizeof(process) * (size_t)sharers);
    return SUCCESS;
}
int nvmlDeviceGetEnforcedPowerLimit(void *device, unsigned *mw) { (void)device; *mw = 700000; return SUCCESS; }
int nvmlDeviceGetClockInfo(void *device, unsigned kind, unsigned *mhz) { (void)device; *mhz = kind == 2 ? 2619 : 1980; return SUCCESS; }
int nvmlDeviceGetTemperature(void *device, unsigned sensor, unsigned *degrees) { (void)device; (void)sensor; *degrees = 41; return SUCCESS; }
int nvmlDeviceGetName(void *device, char *name, unsigned length) { (void)device; strncpy(name, "Fake H100", length); return SUCCESS; }
int nvmlSystemGetDriverVersion(char *name, unsigned length) { strncpy(name, "575.1", length); return SUCCESS; }
