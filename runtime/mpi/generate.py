#!/usr/bin/env python3
"""Makes from functions.txt and constants.txt what is generated for one ABI of the MPI layer.

usage: generate.py WHAT ABI FUNCTIONS CONSTANTS OUTPUT

ABI   standard, mpich
WHAT  header     mpi.h
      internal   mpi-internal.h: the prototypes of mpi__X, by which the implementation is checked
      entries    mpi-entries.c: MPI_X and PMPI_X, which check and convert arguments and call mpi__X
      types      mpi-types.inc: X(handle, name) for each predefined datatype of the ABI
      map        the linker's version script
      list       mpi-list.inc: X(name, group, implemented), for ame-info --mpi
"""
import re
import sys

HANDLES = ('Comm', 'Group', 'Datatype', 'Op', 'Request', 'Info', 'Errhandler', 'Message', 'Win', 'File', 'Session')
STRUCTS = {name: 'struct mpi__' + name.lower() + ' *' for name in HANDLES}
STRUCTS['Datatype'] = 'struct mpi__type *'
SCALARS = ('int', 'Aint', 'Count', 'Offset')
# Addresses that may be NULL although they look like results.
OPTIONAL = ('argc', 'argv', 'attribute_val', 'buffer_addr', 'version_string')


class Argument:
    """One argument: its kind, its name, and how it looks in C."""

    def __init__(self, text):
        self.kind, _, self.name = text.strip().rpartition(' ')
        self.kind = self.kind.strip()
        if text.strip() == '...':
            self.kind = self.name = '...'

    @property
    def handle(self):
        """Name of the handle type if this is one that is converted."""
        base = self.kind.rstrip('?*&')
        return base if base in HANDLES else None

    @property
    def out(self):
        return self.kind.endswith(('*', '&')) and not self.kind.endswith('[*]')

    def declaration(self, large):
        kind, name = self.kind, self.name
        simple = {'buf': 'void *', 'cbuf': 'const void *', 'cstr': 'const char *', 'char*': 'char *',
                  'char***': 'char ***', 'Status*': 'MPI_Status *', 'cStatus*': 'const MPI_Status *'}
        arrays = {'argv': 'char *%s[]', 'argv1': 'char *%s[]', 'strs': 'char *%s[]', 'strss': 'char **%s[]',
                  'int[][3]': 'int %s[][3]', 'int[]': 'const int %s[]', 'int[*]': 'int %s[]',
                  'Status[]': 'MPI_Status *%s', 'cRequest[]': 'const MPI_Request %s[]',
                  'Aint[*]': 'MPI_Aint %s[]', 'Count[*]': 'MPI_Count %s[]', 'cInfo[]': 'const MPI_Info %s[]'}
        widths = {'N': ('int', 'MPI_Count'), 'D': ('int', 'MPI_Aint'),
                  'A': ('MPI_Aint', 'MPI_Aint'), 'AC': ('MPI_Aint', 'MPI_Count'), 'ID': ('int', 'MPI_Aint')}
        if kind == '...':
            return '...'
        if kind in simple:
            return simple[kind] + name
        if kind in arrays:
            return arrays[kind] % name
        if kind == 'Request[]':
            return 'MPI_Request *request' if name == 'request' else 'MPI_Request %s[]' % name
        base = re.match(r'[\w:]+', kind).group(0)
        rest = kind[len(base):]
        if base.startswith('F:'):
            return 'MPI_%s *%s' % (base[2:], name)
        if base.startswith('FC:'):
            return 'MPI_%s%s *%s' % (base[3:], '_c' if large else '', name)
        if base.startswith('H:'):
            ctype = 'MPI_' + base[2:]
        elif base in widths:
            ctype = widths[base][large]
        else:
            ctype = base if base == 'int' else 'MPI_' + base
        if rest == '[]':
            return 'const %s %s[]' % (ctype, name)
        if rest == '[*]':
            return '%s %s[]' % (ctype, name) if name != 'datatype' else '%s *%s' % (ctype, name)
        return ctype + ' ' + ('*' if rest in ('*', '&') else '') + name

    def internal(self):
        """The declaration in mpi__X."""
        kind, name = self.kind, self.name
        if self.handle:
            star = '*' if kind.endswith('*') else ''
            return STRUCTS[self.handle] + star + name
        if kind in ('N', 'AC', 'ID'):
            return 'int64_t ' + name
        if kind in ('N*', 'N&', 'AC*', 'AC&', 'ID*'):
            return 'int64_t *' + name
        if kind in ('N[]', 'D[]', 'A[]', 'AC[]'):
            return 'struct ame__counts ' + name
        if kind.startswith('FC:'):
            return 'void (*%s)(void)' % name
        return self.declaration(False)


class Function:
    """One line of functions.txt, or one of the functions that it stands for."""

    def __init__(self, line, group):
        match = re.match(r'([+-])([a-z]*)\s+(?:([\w:]+) )?(\w+)\((.*)\)$', line)
        if not match:
            sys.exit('functions.txt: cannot read: ' + line)
        self.implemented = match.group(1) == '+'
        self.flags, self.result, self.name = match.group(2), match.group(3) or 'int', match.group(4)
        self.arguments = [Argument(part) for part in match.group(5).split(',')] if match.group(5) else []
        self.group = group
        self.base = self.name
        self.form = ''      # of a collective: '', 'i', 'init'
        self.large = False

    def variants(self):
        forms = [('', self.name)]
        if 't' in self.flags:
            forms += [('i', 'I' + self.name[0].lower() + self.name[1:]), ('init', self.name + '_init')]
        for large in ((False, True) if 'c' in self.flags else (False,)):
            for form, name in forms:
                one = Function.__new__(Function)
                one.__dict__.update(self.__dict__)
                one.form, one.large, one.name = form, large, name + ('_c' if large else '')
                one.arguments = list(self.arguments)
                if form == 'init':
                    one.arguments.append(Argument('Info? info'))
                if form:
                    one.arguments.append(Argument('Request* request'))
                yield one

    def result_type(self):
        if self.result.startswith('H:'):
            return 'MPI_' + self.result[2:]
        return self.result if self.result in ('int', 'double') else 'MPI_' + self.result

    def prototype(self, prefix):
        arguments = ', '.join(argument.declaration(self.large) for argument in self.arguments) or 'void'
        return '%s %s%s(%s)' % (self.result_type(), prefix, self.name, arguments)


def read_functions(path, abi):
    functions, group = [], ''
    for line in open(path, encoding='utf-8'):
        line = line.strip()
        if line.startswith('['):
            group = line.strip('[]')
        elif line and not line.startswith('#'):
            function = Function(line, group)
            if not ('s' in function.flags and abi == 'mpich' or 'm' in function.flags and abi == 'standard'):
                functions.append(function)
    return functions


def read_constants(path, abi):
    """Sections as (kind, [(name, value)]); a value None: the ABI has none."""
    sections = []
    for line in open(path, encoding='utf-8'):
        line = line.strip()
        if line.startswith('['):
            sections.append((line.strip('[]'), []))
        elif line and not line.startswith('#'):
            name, *values = line.split()
            value = values[-1] if abi == 'mpich' else values[0]
            sections[-1][1].append((name, value if value != '-' else None))
    return sections


# ---- mpi.h ---------------------------------------------------------------------------------------

CALLBACKS = '''
typedef void (MPI_User_function)(void *invec, void *inoutvec, int *len, MPI_Datatype *datatype);
typedef void (MPI_User_function_c)(void *invec, void *inoutvec, MPI_Count *len, MPI_Datatype *datatype);
typedef int (MPI_Grequest_query_function)(void *extra_state, MPI_Status *status);
typedef int (MPI_Grequest_free_function)(void *extra_state);
typedef int (MPI_Grequest_cancel_function)(void *extra_state, int complete);
typedef int (MPI_Comm_copy_attr_function)(MPI_Comm, int, void *, void *, void *, int *);
typedef int (MPI_Comm_delete_attr_function)(MPI_Comm, int, void *, void *);
typedef int (MPI_Type_copy_attr_function)(MPI_Datatype, int, void *, void *, void *, int *);
typedef int (MPI_Type_delete_attr_function)(MPI_Datatype, int, void *, void *);
typedef int (MPI_Win_copy_attr_function)(MPI_Win, int, void *, void *, void *, int *);
typedef int (MPI_Win_delete_attr_function)(MPI_Win, int, void *, void *);
typedef MPI_Comm_copy_attr_function MPI_Copy_function;
typedef MPI_Comm_delete_attr_function MPI_Delete_function;
typedef int (MPI_Datarep_extent_function)(MPI_Datatype datatype, MPI_Aint *extent, void *extra_state);
typedef int (MPI_Datarep_conversion_function)(void *, MPI_Datatype, int, void *, MPI_Offset, void *);
typedef int (MPI_Datarep_conversion_function_c)(void *, MPI_Datatype, MPI_Count, void *, MPI_Offset, void *);
typedef void (MPI_Comm_errhandler_function)(MPI_Comm *comm, int *error_code, ...);
typedef void (MPI_File_errhandler_function)(MPI_File *file, int *error_code, ...);
typedef void (MPI_Win_errhandler_function)(MPI_Win *win, int *error_code, ...);
typedef void (MPI_Session_errhandler_function)(MPI_Session *session, int *error_code, ...);
typedef MPI_Comm_errhandler_function MPI_Comm_errhandler_fn;
typedef MPI_File_errhandler_function MPI_File_errhandler_fn;
typedef MPI_Win_errhandler_function MPI_Win_errhandler_fn;
typedef MPI_Session_errhandler_function MPI_Session_errhandler_fn;
typedef MPI_Comm_errhandler_function MPI_Handler_function;
'''

EVENTS = '''
typedef void (MPI_T_event_cb_function)(MPI_T_event_instance, MPI_T_event_registration, MPI_T_cb_safety, void *);
typedef void (MPI_T_event_free_cb_function)(MPI_T_event_registration, MPI_T_cb_safety, void *);
typedef void (MPI_T_event_dropped_cb_function)(MPI_Count, MPI_T_event_registration, int, MPI_T_cb_safety, void *);
'''

STATUS = {'standard': 'int MPI_SOURCE;\n    int MPI_TAG;\n    int MPI_ERROR;\n    int MPI_internal[5];',
          'mpich': 'int count_lo;\n    int count_hi_and_cancelled;\n    int MPI_SOURCE;\n    int MPI_TAG;\n    int MPI_ERROR;'}

TOOLS = ('T_enum', 'T_cvar_handle', 'T_pvar_handle', 'T_pvar_session', 'T_event_registration', 'T_event_instance')


def full_name(name):
    return name if name.startswith('MPIX_') else 'MPI_' + name


def constant_lines(kind, constants, abi):
    lines = []
    if kind.startswith('enum '):
        name = 'MPI_' + kind[5:]
        body = ', '.join('MPI_%s = %s' % pair for pair in constants)
        return ['typedef enum %s { %s } %s;' % (name, body, name)]
    for name, value in constants:
        if value is None:
            continue
        if value.startswith('@'):
            text = 'MPI_' + value[1:]
        elif kind == 'int':
            text = value if value[0] != '-' else '(%s)' % value
        elif kind.startswith('handle '):
            text = '((MPI_%s) %s)' % (kind[7:], value)
        else:
            text = '((%s) %s)' % (kind[8:], value if value[0] != '-' else '(%s)' % value)
        if name in ('LB', 'UB'):
            lines += ['#ifndef AME_MPI_NO_REMOVED', '#define MPI_%s %s' % (name, text), '#endif']
        else:
            lines.append('#define %s %s' % (full_name(name), text))
    return lines


def make_header(functions, sections, abi):
    lines = ['/* mpi.h - the C interface of MPI: %s, as AME implements it. Generated. */'
             % ('the standard ABI of MPI 5.0' if abi == 'standard' else "MPICH's ABI"),
             '#ifndef AME_MPI_H', '#define AME_MPI_H', '#include <stdint.h>', '#ifdef __GNUC__', '#pragma GCC visibility push(default)', '#endif',
             '#ifdef __cplusplus', 'extern "C" {', '#endif', '#define AME_MPI 1']
    if abi == 'standard':
        lines += ['typedef intptr_t MPI_Aint;', 'typedef int64_t MPI_Offset;', 'typedef int64_t MPI_Count;']
    else:
        lines += ['#define MPICH_ABI_OF_AME 1', 'typedef long MPI_Aint;', 'typedef long MPI_Offset;',
                  'typedef long MPI_Count;', 'typedef int MPI_Fint;']
    lines.append('typedef struct MPI_Status {\n    %s\n} MPI_Status;' % STATUS[abi])
    for handle in HANDLES:
        if abi == 'standard' or handle == 'File':
            lines.append('typedef struct MPI_ABI_%s *MPI_%s;' % (handle, handle))
        else:
            lines.append('typedef int MPI_%s;' % handle)
    for name in TOOLS:
        lines.append('typedef struct MPI_ABI_%s *MPI_%s;' % (name, name))
    lines += CALLBACKS.strip().split('\n')
    if abi == 'mpich':
        lines += ['extern int MPIR_Dup_fn(MPI_Comm, int, void *, void *, void *, int *);',
                  'extern int *const MPI_UNWEIGHTED;', 'extern int *const MPI_WEIGHTS_EMPTY;',
                  'extern struct MPI_ABI_T_pvar_handle *const MPI_T_PVAR_ALL_HANDLES;',
                  '#define MPI_AINT_FMT_DEC_SPEC "%ld"', '#define MPI_AINT_FMT_HEX_SPEC "%lx"']
        for handle in HANDLES:
            if handle == 'File':
                continue
            name = 'Type' if handle == 'Datatype' else handle
            for prefix in ('MPI', 'PMPI'):
                lines += ['#define %s_%s_c2f(handle) ((MPI_Fint) (handle))' % (prefix, name),
                          '#define %s_%s_f2c(handle) ((MPI_%s) (handle))' % (prefix, name, handle)]
    for kind, constants in sections:
        lines += constant_lines(kind, constants, abi)
    lines += EVENTS.strip().split('\n')
    for function in functions:
        removed = 'o' in function.flags
        if removed:
            lines.append('#ifndef AME_MPI_NO_REMOVED')
        for one in function.variants():
            lines += [one.prototype('MPI_') + ';', one.prototype('PMPI_') + ';']
        if removed:
            lines.append('#endif')
    lines += ['#ifndef AME_MPI_NO_REMOVED', '#define MPI_COMBINER_HVECTOR_INTEGER %d' % (5 if abi == 'mpich' else 1005),
              '#define MPI_COMBINER_HINDEXED_INTEGER %d' % (8 if abi == 'mpich' else 1008),
              '#define MPI_COMBINER_STRUCT_INTEGER %d' % (11 if abi == 'mpich' else 1011), '#endif']
    lines += ['#ifdef __cplusplus', '}', '#endif', '#ifdef __GNUC__', '#pragma GCC visibility pop', '#endif', '#endif']
    return lines


# ---- entry points --------------------------------------------------------------------------------

def is_plain(function):
    """Functions that are called as they are: no checks, no error handlers."""
    return function.result != 'int' or function.base.endswith('_toint') or function.base == 'Pcontrol'


def internal_prototype(function):
    if 't' in function.flags:
        return 'int mpi__%s(struct mpi__coll *call)' % function.name
    arguments = [argument.internal() for argument in function.arguments]
    if 'l' in function.flags:
        arguments.append('bool large')
    result = 'int' if not is_plain(function) else function.result_type()
    return '%s mpi__%s(%s)' % (result, function.name, ', '.join(arguments) or 'void')


def make_internal(functions, _sections, _abi):
    lines = ['/* Generated: the functions behind the entry points. */']
    for function in functions:
        if function.implemented and not function.base.endswith(('_toint', '_fromint')):
            lines.append(internal_prototype(function) + ';')
    return lines


def convert(argument, large):
    """(declarations, checks, expression for the call, what to do after success)"""
    kind, name = argument.kind, argument.name
    local = name + '_1'
    if argument.handle:
        handle = argument.handle
        struct = STRUCTS[handle]
        null = 'MPI_%s_NULL' % handle.upper()
        if kind.endswith('*'):
            return (['%s%s = NULL;' % (struct, local)], ['mpi__check_out(%s, "%s")' % (name, name)], '&' + local,
                    ['*%s = mpi__out_%s(%s);' % (name, handle.lower(), local)])
        if kind.endswith('&'):
            return (['%s%s = NULL;' % (struct, local)],
                    ['mpi__check_out(%s, "%s")' % (name, name),
                     'mpi__in_%s(*%s, "%s", &%s)' % (handle.lower(), name, name, local)], local,
                    ['*%s = %s;' % (name, null)])
        optional = '_or_null' if kind.endswith('?') else ''
        return (['%s%s = NULL;' % (struct, local)],
                ['mpi__in_%s%s(%s, "%s", &%s)' % (handle.lower(), optional, name, name, local)], local, [])
    if kind in ('N', 'AC', 'ID'):
        return ([], [], '(int64_t) ' + name, [])
    if kind in ('N*', 'AC*', 'ID*', 'N&', 'AC&'):
        begin = '0' if kind.endswith('*') else '%s ? (int64_t) *%s : 0' % (name, name)
        after = '*%s = mpi__narrow(%s);' if kind[0] == 'N' and not large else '*%s = %s;'
        return (['int64_t %s = %s;' % (local, begin)], ['mpi__check_out(%s, "%s")' % (name, name)], '&' + local,
                [after % (name, local)])
    if kind in ('N[]', 'D[]', 'A[]', 'AC[]'):
        wide = large or kind in ('A[]', 'AC[]')
        return ([], [], 'AME__%s(%s)' % ('WIDE' if wide else 'NARROW', name), [])
    if kind.startswith('FC:'):
        return ([], [], '(void (*)(void)) ' + name, [])
    if argument.out and kind not in ('Status*', 'cStatus*', 'char***') and not kind.startswith(('T_', 'H:')) \
            and name not in OPTIONAL:
        return ([], ['mpi__check_out(%s, "%s")' % (name, name)], name, [])
    return ([], [], name, [])


# What an argument of a collective call is in struct mpi__coll, where its name is another one.
FIELDS = {'buffer': 'recvbuf', 'count': 'recvcount', 'datatype': 'recvtype', 'sdispls': 'senddispls', 'rdispls': 'recvdispls'}


def collective(function, values):
    """The struct mpi__coll of a call with these values of its arguments."""
    names = [argument.name for argument in function.arguments]
    fields = ['.name = "MPI_%s"' % function.name]
    for name, value in zip(names, values):
        if name == 'displs':
            name = 'senddispls' if 'sendcounts' in names else 'recvdispls'
        if name not in ('info', 'request'):
            fields.append('.%s = %s' % (FIELDS.get(name, name), value))
    fields += ['.rooted = true'] if 'root' in names else []
    fields += ['.in_bytes = true'] if 'sendtypes' in names else []
    return 'struct mpi__coll call_1 = {%s};' % ', '.join(fields)


def error_object(function):
    """The object whose error handler is called."""
    for argument in function.arguments:
        if argument.handle in ('Comm', 'File', 'Session') and not argument.kind.endswith('*'):
            return '%s_1 ? &%s_1->object : NULL' % (argument.name, argument.name)
    return 'NULL'


def entry(function):
    lines = [function.prototype('PMPI_'), '{']
    if function.base.endswith('_toint'):
        argument = function.arguments[0]
        lines.append('    return mpi__toint((uintptr_t) %s);' % argument.name)
    elif function.base.endswith('_fromint'):
        handle = function.result[2:]
        lines.append('    return (MPI_%s) mpi__fromint(MPI__%s, %s, (uintptr_t) MPI_%s_NULL);'
                     % (handle, handle.upper(), function.arguments[0].name, handle.upper()))
    elif function.base == 'Pcontrol':
        lines += ['    (void) level;', '    return MPI_SUCCESS;']
    elif not function.implemented:
        lines += ['    (void) %s;' % argument.name for argument in function.arguments]
        lines.append('    return mpi__unsupported("MPI_%s");' % function.name)
    elif is_plain(function):
        lines.append('    return mpi__%s(%s);' % (function.base, ', '.join(a.name for a in function.arguments)))
    else:
        body(function, lines)
    lines.append('}')
    lines.append('%s __attribute__((weak, alias("PMPI_%s")));' % (function.prototype('MPI_'), function.name))
    return lines


def body(function, lines):
    declarations, checks, values, after = [], [], [], []
    for argument in function.arguments:
        declared, checked, value, then = convert(argument, function.large)
        declarations += declared
        checks += checked
        values.append(value)
        after += then
    name, tools = '"MPI_%s"' % function.name, function.group == 'tools'
    if 't' in function.flags:
        calls = ['mpi__%s(&call_1)' % function.base]
        calls.append({'': 'mpi__coll_run(&call_1)', 'i': 'mpi__coll_start(&call_1, &request_1)',
                      'init': 'mpi__coll_init(&call_1, info_1, &request_1)'}[function.form])
    else:
        calls = ['mpi__%s(%s)' % (function.base if 'c' in function.flags else function.name,
                                  ', '.join(values + (['true' if function.large else 'false'] if 'l' in function.flags else [])))]
    lines += ['    ' + line for line in declarations]
    lines.append('    int code_1 = %s;' % ('MPI_SUCCESS' if 'p' in function.flags else 'mpi__running()'))
    lines += ['    if (!code_1) code_1 = %s;' % check for check in checks]
    if 't' in function.flags:
        lines.append('    ' + collective(function, values))
    lines += ['    if (!code_1) code_1 = %s;' % call for call in calls]
    # A failed copy must not look like one (MPI 4.1, 7.7.1).
    nulls = ['if (%s) *%s = MPI_%s_NULL' % (a.name, a.name, a.handle.upper()) for a in function.arguments
             if a.kind in ('Comm*', 'Datatype*') and not a.name.startswith('old')]
    if nulls:
        lines.append('    if (code_1) {')
        lines += ['        %s;' % null for null in nulls]
        lines.append('    }')
    if tools:
        lines.append('    if (code_1) return code_1;')
    else:
        lines.append('    if (code_1) return mpi__raise(%s, code_1, %s);' % (error_object(function), name))
    lines += ['    ' + line for line in after]
    lines.append('    return MPI_SUCCESS;')


def make_entries(functions, _sections, _abi):
    lines = ['/* Generated: the entry points. */', '#include "mpi/layer.h"', '#include "mpi/coll.h"', '']
    for function in functions:
        for one in function.variants():
            lines += entry(one)
    return lines


def make_types(_functions, sections, _abi):
    lines = []
    for kind, constants in sections:
        if kind == 'handle Datatype':
            lines += ['X(%s, "%s")' % (value, full_name(name)) for name, value in constants
                      if value and value[0] != '@' and name != 'DATATYPE_NULL']
    return lines


def make_map(functions, _sections, abi):
    names = sorted(one.name for function in functions for one in function.variants())
    extra = ['MPI_UNWEIGHTED', 'MPI_WEIGHTS_EMPTY', 'MPI_T_PVAR_ALL_HANDLES', 'MPIR_Dup_fn'] if abi == 'mpich' else []
    return ['{', '    global:'] + ['        %s%s;' % (prefix, name) for name in names for prefix in ('MPI_', 'PMPI_')] + \
        ['        %s;' % name for name in extra] + ['    local: *;', '};']


def make_list(functions, _sections, _abi):
    return ['X("MPI_%s", "%s", %d)' % (one.name, one.group, one.implemented)
            for function in functions if 'o' not in function.flags for one in function.variants()]


def main():
    what, abi, functions, constants, output = sys.argv[1:]
    make = {'header': make_header, 'internal': make_internal, 'entries': make_entries, 'types': make_types,
            'map': make_map, 'list': make_list}[what]
    lines = make(read_functions(functions, abi), read_constants(constants, abi), abi)
    with open(output, 'w', encoding='utf-8') as file:
        file.write('\n'.join(lines) + '\n')


main()
