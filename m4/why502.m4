dnl WHY502_TRY_CFLAGS(VARIABLE, FLAGS): adds to VARIABLE each flag that the compiler takes without a word.
AC_DEFUN([WHY502_TRY_CFLAGS], [
	for why502_flag in $2; do
		AS_VAR_PUSHDEF([took], [why502_cv_cflag_$why502_flag])
		AC_CACHE_CHECK([whether $CC takes $why502_flag], [took], [
			why502_CFLAGS=$CFLAGS
			CFLAGS="$CFLAGS -Werror $why502_flag"
			AC_COMPILE_IFELSE([AC_LANG_PROGRAM()], [AS_VAR_SET([took], [yes])], [AS_VAR_SET([took], [no])])
			CFLAGS=$why502_CFLAGS
		])
		AS_VAR_IF([took], [yes], [AS_VAR_APPEND([$1], [" $why502_flag"])])
		AS_VAR_POPDEF([took])
	done
	AC_SUBST([$1])
])

dnl WHY502_TRY_LDFLAGS(VARIABLE, FLAGS): the same for the linker.
AC_DEFUN([WHY502_TRY_LDFLAGS], [
	for why502_flag in $2; do
		AS_VAR_PUSHDEF([took], [why502_cv_ldflag_$why502_flag])
		AC_CACHE_CHECK([whether $CC links with $why502_flag], [took], [
			why502_LDFLAGS=$LDFLAGS
			why502_CFLAGS=$CFLAGS
			LDFLAGS="$LDFLAGS -Werror $why502_flag"
			CFLAGS="$CFLAGS -fPIE"
			AC_LINK_IFELSE([AC_LANG_PROGRAM()], [AS_VAR_SET([took], [yes])], [AS_VAR_SET([took], [no])])
			LDFLAGS=$why502_LDFLAGS
			CFLAGS=$why502_CFLAGS
		])
		AS_VAR_IF([took], [yes], [AS_VAR_APPEND([$1], [" $why502_flag"])])
		AS_VAR_POPDEF([took])
	done
	AC_SUBST([$1])
])

dnl WHY502_WITH(OPTION, NAME, PKG-CONFIG MODULE, WHAT FOR): an optional library, used where present; --without-OPTION
dnl leaves it out, --with-OPTION insists. Defines HAVE_NAME, and tells the summary.
AC_DEFUN([WHY502_WITH], [
	AC_ARG_WITH([$1], [AS_HELP_STRING([--without-$1], [without $4])], [], [with_$2=auto])
	AS_IF([test "x$with_$2" != xauto], [with_$2=$withval])
	why502_version="no"
	AS_IF([test "x$with_$2" = xno], [why502_version="left out"],
	      [PKG_CHECK_MODULES([$2], [$3],
	       [AC_DEFINE([HAVE_$2], [1], [for $4])
	        why502_version=$($PKG_CONFIG --modversion "$3")],
	       [AS_IF([test "x$with_$2" = xyes], [AC_MSG_ERROR([--with-$1: $3 was not found])])])])
	why502_found="$why502_found
    $(printf '%-13s %-10s %s' "$1" "$why502_version" "$4")"
])
