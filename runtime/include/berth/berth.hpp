#pragma once
// berth: everything a program or a module includes.

#include <berth/as.hpp>
#include <berth/client.hpp>
#include <berth/error.hpp>
#include <berth/failure.hpp>
#include <berth/function.hpp>
#include <berth/future.hpp>
#include <berth/here.hpp>
#include <berth/map.hpp>
#include <berth/module.hpp>
#include <berth/place.hpp>
#include <berth/service.hpp>
#include <berth/stream.hpp>
#include <berth/task.hpp>
#include <berth/tensor.hpp>
#include <berth/version.hpp>
