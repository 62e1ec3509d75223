/* A pretended libnvidia-ml.so.1 for tests: the real nvidia-ml-py, its structs and versioned symbols, no card.
 *
 * Its world is the text file named by FAKE_NVML_STATE, read again at every call (tests/builders/fake_nvml.py writes it):
 *
 *   driver <version>
 *   card <uuid> name=<a_b> bus=<hex domain:bus:device> total_mib= used_mib= reserved_mib= util= temperature= power_w=
 *        energy_j= mig=<0|1>                     NVML's order is that of the lines; a value `none` is "not supported"
 *   slice <card uuid> <uuid> name= total_mib= used_mib= reserved_mib= util=
 *   process <uuid> <pid> <mib|none> <compute|graphics|mps>   stands in the list, adds no memory
 *   claim <uuid> <pid> <mib> <compute|graphics|mps>          adds its memory, too; both vanish with the process
 *   fault <function|*> <uuid|*> <code>          of the functions without a card (init, count), write `*` for the card
 *   delay <function> <ms>                       ends early when the line is taken out of the file
 *
 * Without a file it answers "library not found" to everything, as on a machine without GPUs.
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { OK = 0, UNINITIALIZED = 1, INVALID = 2, NOT_SUPPORTED = 3, NOT_FOUND = 6, TOO_SMALL = 7, NO_LIBRARY = 12, LOST = 15,
       VERSION_MISMATCH = 25 };
enum { MAX_UNITS = 96, MAX_PROCESSES = 1024, MAX_FAULTS = 128, UUID = 96, NONE = -1 };

typedef unsigned long long u64;
typedef struct {
    char uuid[UUID], parent[UUID], name[64];
    unsigned domain, bus, device;
    long total_mib, used_mib, reserved_mib, util, temperature, power_w, energy_j, mig;
} Unit; /* a card, or a slice when `parent` is set */
typedef struct { char uuid[UUID], kind[16]; unsigned pid; long mib; } Process;
typedef struct { char function[80], uuid[UUID]; int code; } Fault;
typedef struct { char function[80]; long ms; } Delay;
typedef struct {
    char driver[80];
    Unit units[MAX_UNITS]; int unit_count;
    Process processes[MAX_PROCESSES]; int process_count;
    Fault faults[MAX_FAULTS]; int fault_count;
    Delay delays[MAX_FAULTS]; int delay_count;
} World;

static __thread World world;
static int initialised;
static char handles[MAX_UNITS * 4][UUID]; /* a handle points here, so that it outlives its card */

static int alive(unsigned pid) {
    char path[64], line[512], *state;
    FILE *file;
    snprintf(path, sizeof path, "/proc/%u/stat", pid);
    if (!(file = fopen(path, "r"))) return 0;
    line[0] = 0;
    if (!fgets(line, sizeof line, file)) line[0] = 0;
    fclose(file);
    state = strrchr(line, ')'); /* a zombie has given its memory back */
    return state && state[1] && state[2] != 'Z' && state[2] != 'X';
}

static Unit *unit(const char *uuid) {
    for (int i = 0; i < world.unit_count; i++)
        if (!strcmp(world.units[i].uuid, uuid)) return &world.units[i];
    return NULL;
}

static long number(const char *text) { return strcmp(text, "none") ? atol(text) : NONE; }

static void set(Unit *it, char *pair) {
    char *value = strchr(pair, '=');
    if (!value) return;
    *value++ = 0;
    if (!strcmp(pair, "name")) {
        snprintf(it->name, sizeof it->name, "%s", value);
        for (char *c = it->name; *c; c++) if (*c == '_') *c = ' ';
    } else if (!strcmp(pair, "bus")) sscanf(value, "%x:%x:%x", &it->domain, &it->bus, &it->device);
    else if (!strcmp(pair, "total_mib")) it->total_mib = number(value);
    else if (!strcmp(pair, "used_mib")) it->used_mib = number(value);
    else if (!strcmp(pair, "reserved_mib")) it->reserved_mib = number(value);
    else if (!strcmp(pair, "util")) it->util = number(value);
    else if (!strcmp(pair, "temperature")) it->temperature = number(value);
    else if (!strcmp(pair, "power_w")) it->power_w = number(value);
    else if (!strcmp(pair, "energy_j")) it->energy_j = number(value);
    else if (!strcmp(pair, "mig")) it->mig = number(value);
}

static void read_line(char *line) {
    char *rest, *word = strtok_r(line, " \t\n", &rest);
    if (!word) return;
    if (!strcmp(word, "driver")) {
        word = strtok_r(NULL, " \t\n", &rest);
        snprintf(world.driver, sizeof world.driver, "%s", word ? word : "");
    } else if ((!strcmp(word, "card") || !strcmp(word, "slice")) && world.unit_count < MAX_UNITS) {
        Unit *it = &world.units[world.unit_count++];
        memset(it, 0, sizeof *it);
        it->util = it->temperature = it->power_w = it->energy_j = it->mig = NONE;
        if (!strcmp(word, "slice") && (word = strtok_r(NULL, " \t\n", &rest)))
            snprintf(it->parent, sizeof it->parent, "%s", word);
        if ((word = strtok_r(NULL, " \t\n", &rest))) snprintf(it->uuid, sizeof it->uuid, "%s", word);
        while ((word = strtok_r(NULL, " \t\n", &rest))) set(it, word);
    } else if ((!strcmp(word, "process") || !strcmp(word, "claim")) && world.process_count < MAX_PROCESSES) {
        Process *it = &world.processes[world.process_count];
        char size[32] = "";
        int claim = !strcmp(word, "claim");
        if (sscanf(rest, " %95s %u %31s %15s", it->uuid, &it->pid, size, it->kind) != 4) return;
        it->mib = number(size);
        if (claim && !alive(it->pid)) return;
        world.process_count++;
        Unit *on = unit(it->uuid);
        if (claim && on && it->mib > 0) on->used_mib += it->mib;
    } else if (!strcmp(word, "fault") && world.fault_count < MAX_FAULTS) {
        Fault *it = &world.faults[world.fault_count];
        if (sscanf(rest, " %79s %95s %d", it->function, it->uuid, &it->code) == 3) world.fault_count++;
    } else if (!strcmp(word, "delay") && world.delay_count < MAX_FAULTS) {
        Delay *it = &world.delays[world.delay_count];
        if (sscanf(rest, " %79s %ld", it->function, &it->ms) == 2) world.delay_count++;
    }
}

static int read_world(void) {
    const char *path = getenv("FAKE_NVML_STATE");
    FILE *file = path ? fopen(path, "r") : NULL;
    char line[1024];
    memset(&world, 0, sizeof world);
    if (!file) return 0;
    while (fgets(line, sizeof line, file)) read_line(line);
    fclose(file);
    return 1;
}

static long delay_ms(const char *function) {
    for (int i = 0; i < world.delay_count; i++)
        if (!strcmp(world.delays[i].function, function)) return world.delays[i].ms;
    return 0;
}

/* Reads the world, waits as it says, and returns the code that it sets for this function and card. */
static int enter(const char *function, const char *uuid) {
    if (!read_world()) return NO_LIBRARY;
    for (long waited_ms = 0; waited_ms < delay_ms(function); waited_ms += 5) {
        usleep(5000);
        if (!read_world()) return NO_LIBRARY;
    }
    Unit *it = uuid ? unit(uuid) : NULL;
    for (int i = 0; i < world.fault_count; i++) {
        Fault *fault = &world.faults[i];
        if (strcmp(fault->function, "*") && strcmp(fault->function, function)) continue;
        if (!strcmp(fault->function, "*") && !uuid) continue; /* a sick card spoils no call without a card */
        if (!strcmp(fault->uuid, "*") || (uuid && !strcmp(fault->uuid, uuid)) || (it && !strcmp(fault->uuid, it->parent)))
            return fault->code;
    }
    return OK;
}

/* For calls on a handle: finds its card, too. */
static int on(const char *function, const char *handle, Unit **found) {
    if (!initialised) return UNINITIALIZED;
    if (!handle) return INVALID;
    int code = enter(function, handle);
    if (code != OK) return code;
    *found = unit(handle);
    return *found ? OK : LOST;
}

static const char *handle_of(const char *uuid) {
    for (int i = 0; i < MAX_UNITS * 4; i++) {
        if (!handles[i][0]) snprintf(handles[i], UUID, "%s", uuid);
        if (!strcmp(handles[i], uuid)) return handles[i];
    }
    return NULL;
}

static Unit *nth(const char *parent, unsigned number) {
    for (int i = 0; i < world.unit_count; i++)
        if (!strcmp(world.units[i].parent, parent) && number-- == 0) return &world.units[i];
    return NULL;
}

static int copy(char *out, unsigned length, const char *text) {
    if (strlen(text) + 1 > length) return TOO_SMALL;
    strcpy(out, text);
    return OK;
}

static int value(const char *function, const char *handle, long Unit_offset, unsigned *out, unsigned scale) {
    Unit *it;
    int code = on(function, handle, &it);
    if (code != OK) return code;
    long number = *(long *)((char *)it + Unit_offset);
    if (number == NONE) return NOT_SUPPORTED;
    *out = (unsigned)number * scale;
    return OK;
}

const char *fake_nvml = "this is the pretended library";

int nvmlInitWithFlags(unsigned flags) {
    (void)flags;
    int code = enter(__func__, NULL);
    if (code == OK) initialised++;
    return code;
}

int nvmlShutdown(void) {
    if (!initialised) return UNINITIALIZED;
    initialised--;
    return OK;
}

const char *nvmlErrorString(int code) {
    static __thread char text[64];
    snprintf(text, sizeof text, "pretended error %d", code);
    return text;
}

int nvmlSystemGetDriverVersion(char *out, unsigned length) {
    if (!initialised) return UNINITIALIZED;
    int code = enter(__func__, NULL);
    return code == OK ? copy(out, length, world.driver) : code;
}

int nvmlSystemGetNVMLVersion(char *out, unsigned length) {
    int code = enter(__func__, NULL);
    return code == OK ? copy(out, length, "13.fake") : code;
}

int nvmlSystemGetCudaDriverVersion_v2(int *out) {
    *out = 13000;
    return enter(__func__, NULL);
}

int nvmlDeviceGetCount_v2(unsigned *count) {
    if (!initialised) return UNINITIALIZED;
    int code = enter(__func__, NULL);
    if (code != OK) return code;
    for (*count = 0; nth("", *count); ++*count) {}
    return OK;
}

int nvmlDeviceGetHandleByIndex_v2(unsigned index, const char **handle) {
    if (!initialised) return UNINITIALIZED;
    read_world();
    Unit *it = nth("", index);
    if (!it) return INVALID;
    *handle = handle_of(it->uuid);
    return enter(__func__, *handle);
}

int nvmlDeviceGetHandleByUUID(const char *uuid, const char **handle) {
    if (!initialised) return UNINITIALIZED;
    int code = enter(__func__, uuid);
    if (code != OK) return code;
    if (!unit(uuid)) return NOT_FOUND;
    *handle = handle_of(uuid);
    return OK;
}

int nvmlDeviceGetUUID(const char *handle, char *out, unsigned length) {
    Unit *it;
    int code = on(__func__, handle, &it);
    return code == OK ? copy(out, length, it->uuid) : code;
}

int nvmlDeviceGetName(const char *handle, char *out, unsigned length) {
    Unit *it;
    int code = on(__func__, handle, &it);
    return code == OK ? copy(out, length, it->name) : code;
}

int nvmlDeviceGetIndex(const char *handle, unsigned *index) {
    Unit *it;
    int code = on(__func__, handle, &it);
    if (code != OK) return code;
    for (*index = 0; nth(it->parent, *index) != it; ++*index) {}
    return OK;
}

typedef struct { char legacy[16]; unsigned domain, bus, device, device_id, subsystem_id; char bus_id[32]; } PciInfo;

int nvmlDeviceGetPciInfo_v3(const char *handle, PciInfo *out) {
    Unit *it;
    int code = on(__func__, handle, &it);
    if (code != OK) return code;
    memset(out, 0, sizeof *out);
    out->domain = it->domain, out->bus = it->bus, out->device = it->device;
    snprintf(out->bus_id, sizeof out->bus_id, "%08X:%02X:%02X.0", it->domain, it->bus, it->device);
    return OK;
}

static u64 bytes(long mib) { return (u64)mib << 20; }

static int memory(Unit *it) { return it->total_mib == NONE || it->used_mib == NONE ? NOT_SUPPORTED : OK; }

int nvmlDeviceGetMemoryInfo(const char *handle, u64 *out) { /* total, free, used; used contains the reserved */
    Unit *it;
    int code = on(__func__, handle, &it);
    if (code != OK || (code = memory(it)) != OK) return code;
    out[0] = bytes(it->total_mib), out[2] = bytes(it->used_mib + it->reserved_mib), out[1] = out[0] - out[2];
    return OK;
}

typedef struct { unsigned version; u64 total, reserved, free, used; } Memory2;

int nvmlDeviceGetMemoryInfo_v2(const char *handle, Memory2 *out) {
    Unit *it;
    int code = on(__func__, handle, &it);
    if (code != OK || (code = memory(it)) != OK) return code;
    if (out->version != (2u << 24 | sizeof *out)) return VERSION_MISMATCH;
    out->total = bytes(it->total_mib), out->reserved = bytes(it->reserved_mib), out->used = bytes(it->used_mib);
    out->free = out->total - out->reserved - out->used;
    return OK;
}

typedef struct { unsigned pid; u64 used; unsigned gpu_instance, compute_instance; } ProcessInfo;

static int list(const char *function, const char *handle, const char *kind, unsigned *count, ProcessInfo *out) {
    Unit *it;
    int code = on(function, handle, &it);
    if (code != OK) return code;
    unsigned found = 0, room = out ? *count : 0;
    for (int i = 0; i < world.process_count; i++) {
        Process *process = &world.processes[i];
        if (strcmp(process->uuid, it->uuid) || strcmp(process->kind, kind)) continue;
        if (found < room)
            out[found] = (ProcessInfo){process->pid, process->mib == NONE ? ~0ull : bytes(process->mib), ~0u, ~0u};
        found++;
    }
    *count = found;
    return found > room ? TOO_SMALL : OK;
}

int nvmlDeviceGetComputeRunningProcesses_v3(const char *handle, unsigned *count, ProcessInfo *out) {
    return list(__func__, handle, "compute", count, out);
}

int nvmlDeviceGetGraphicsRunningProcesses_v3(const char *handle, unsigned *count, ProcessInfo *out) {
    return list(__func__, handle, "graphics", count, out);
}

int nvmlDeviceGetMPSComputeRunningProcesses_v3(const char *handle, unsigned *count, ProcessInfo *out) {
    return list(__func__, handle, "mps", count, out);
}

#define FIELD(name) ((long)&((Unit *)0)->name)

int nvmlDeviceGetUtilizationRates(const char *handle, unsigned *out) { /* gpu, memory */
    out[1] = 0;
    return value(__func__, handle, FIELD(util), &out[0], 1);
}

int nvmlDeviceGetTemperature(const char *handle, unsigned sensor, unsigned *out) {
    (void)sensor;
    return value(__func__, handle, FIELD(temperature), out, 1);
}

int nvmlDeviceGetTemperatureV(const char *handle, unsigned *out) { /* version, sensor, temperature */
    return value(__func__, handle, FIELD(temperature), &out[2], 1);
}

int nvmlDeviceGetPowerUsage(const char *handle, unsigned *out) {
    return value(__func__, handle, FIELD(power_w), out, 1000);
}

int nvmlDeviceGetTotalEnergyConsumption(const char *handle, u64 *out) {
    Unit *it;
    int code = on(__func__, handle, &it);
    if (code != OK) return code;
    if (it->energy_j == NONE) return NOT_SUPPORTED;
    *out = (u64)it->energy_j * 1000;
    return OK;
}

int nvmlDeviceGetMigMode(const char *handle, unsigned *current, unsigned *pending) {
    int code = value(__func__, handle, FIELD(mig), current, 1);
    *pending = *current;
    return code;
}

int nvmlDeviceGetMaxMigDeviceCount(const char *handle, unsigned *count) {
    Unit *it;
    *count = 7;
    return on(__func__, handle, &it);
}

int nvmlDeviceGetMigDeviceHandleByIndex(const char *handle, unsigned index, const char **out) {
    Unit *it;
    int code = on(__func__, handle, &it);
    if (code != OK) return code;
    Unit *part = nth(it->uuid, index);
    if (!part) return NOT_FOUND;
    *out = handle_of(part->uuid);
    return OK;
}

int nvmlDeviceGetDeviceHandleFromMigDeviceHandle(const char *handle, const char **out) {
    Unit *it;
    int code = on(__func__, handle, &it);
    if (code != OK) return code;
    if (!it->parent[0]) return INVALID;
    *out = handle_of(it->parent);
    return OK;
}

int nvmlDeviceIsMigDeviceHandle(const char *handle, unsigned *out) {
    Unit *it;
    int code = on(__func__, handle, &it);
    if (code == OK) *out = it->parent[0] != 0;
    return code;
}
