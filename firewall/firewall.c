#include "firewall.h"
