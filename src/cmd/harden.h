// SPDX-License-Identifier: Apache-2.0
// Every subcommand begins with this, since it has private keys in its memory and must not go on
// without memory.

#pragma once

namespace contour::cmd {

// Forbids core dumps, also to a program by a pattern with a pipe, and reading of the memory by
// other processes of the same user. When memory runs out, the process writes a message to stderr
// and ends at once with exit code 1, so that it is restarted.
void Harden();

}  // namespace contour::cmd
