/* The names that cuDNN's libraries ask of the driver, so that they load where there is none.

   Whatever would need a card is refused; a kernel that was compiled counts as loaded. */
#define REFUSED(name) int name(void) { return 100; } /* no device */
#define LOADED(name) int name(void** found) { *found = (void*)1; return 0; }

REFUSED(cuCtxGetCurrent)
REFUSED(cuCtxGetLimit)
REFUSED(cuCtxPopCurrent)
REFUSED(cuCtxPushCurrent)
REFUSED(cuDeviceGet)
REFUSED(cuDeviceGetCount)
REFUSED(cuDriverGetVersion)
REFUSED(cuGetErrorName)
REFUSED(cuGetErrorString)
REFUSED(cuLaunchCooperativeKernel)
REFUSED(cuLaunchKernel)
REFUSED(cuLaunchKernelEx)
REFUSED(cuLinkAddData)
REFUSED(cuLinkComplete)
REFUSED(cuLinkCreate)
REFUSED(cuLinkDestroy)
REFUSED(cuStreamGetCtx)
REFUSED(cuTensorMapEncodeIm2col)
REFUSED(cuTensorMapEncodeTiled)
LOADED(cuKernelGetFunction)
LOADED(cuLibraryGetKernel)
LOADED(cuLibraryLoadData)
LOADED(cuLibraryLoadFromFile)
LOADED(cuModuleGetFunction)
LOADED(cuModuleLoadData)

int cuKernelGetAttribute(int* value) {
    *value = 0;
    return 0;
}
int cuKernelSetAttribute(void) { return 0; }
int cuLibraryUnload(void) { return 0; }
int cuModuleUnload(void) { return 0; }
int cuOccupancyMaxPotentialClusterSize(int* size) {
    *size = 8;
    return 0;
}
